"""What `mintonced dev` runs in addition to the server. Not for production."""
