"""Between a caller and the broker, whatever transport brought the call: who calls, what it may do, how much of it."""
