"""Code that several parts need and no part owns. Standard library only."""
