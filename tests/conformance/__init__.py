"""What a real API server answered, what the sandbox answers, and where they may differ."""
