"""What Mintonce decides, without I/O: only the standard library is imported here."""
