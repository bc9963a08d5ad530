"""Who a caller is, from what it shows: a certificate, a JWT, an API key. Knows nothing of gRPC."""
