"""One suite for the clients of every language. README.md says what is where, and how a client takes part."""
