"""Virtual time: how long updates travel, who is there, and whose turn it is. Nothing ever sleeps."""
