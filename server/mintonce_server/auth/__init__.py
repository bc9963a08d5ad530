"""Authentication of callers by certificate, JWT or API key. Independent of gRPC."""
