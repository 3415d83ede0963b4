"""What built-in kinds are: their defaults, what they refuse and warn of, conversion between their versions."""
