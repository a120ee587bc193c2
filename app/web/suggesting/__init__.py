"""What the Suggest page is made of: visits, figures of a user, learning from a visit, reasons."""
