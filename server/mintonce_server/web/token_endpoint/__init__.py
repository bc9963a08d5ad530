"""The token endpoint: POST /oauth/token as an OAuth server has it, served from the fleet's tokens."""
