"""The gRPC side: thin servicers, conversion, one error table, the server itself. Only this package knows mintonce.v1."""
