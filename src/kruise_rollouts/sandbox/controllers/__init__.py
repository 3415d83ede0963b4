"""Kubernetes' own controllers, each one pure decide() run by runtime.controller."""
