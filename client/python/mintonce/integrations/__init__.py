"""One module for each library, imported only where it is used: httpx, requests, grpc. Each is an extra of its name."""
