"""What type annotations mean, and values made of JSON by them."""
