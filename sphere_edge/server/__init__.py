"""The HTTP server: OpenAI's interface over the three managers, for programs on this machine."""
