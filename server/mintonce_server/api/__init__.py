"""The gRPC side: thin servicers, conversion, one error table, the server. Only this package knows mintonce.v1."""
