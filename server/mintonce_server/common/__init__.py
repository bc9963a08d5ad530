"""What several parts need and no part owns. Knows the standard library only."""
