"""`persarank serve`: suggestions over HTTP, for a product; what users do is kept on disk, user by user."""
