"""What a server does with an update, from its way there until it is merged."""
