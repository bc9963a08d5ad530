"""Each a file of its own, imported only when used: httpx, requests, grpc."""
