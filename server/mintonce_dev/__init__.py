"""What `mintonced dev` runs besides the server itself. Nothing of it is for production."""
