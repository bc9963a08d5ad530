"""Mintonce, the server: mints OAuth 2.0 client-credentials tokens once and shares them with the fleet."""
