"""Kruise Rollouts in Python: progressive delivery for Kubernetes. ARCHITECTURE.md says which room is which."""

__version__ = "0.7.0.dev0"
