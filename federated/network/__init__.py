"""Users without a server: who is linked to whom, what the links do, and how nodes average over them."""
