"""The pages of the web app, flat scripts that the entry lists."""
