"""What the program tells about itself, without secrets."""
