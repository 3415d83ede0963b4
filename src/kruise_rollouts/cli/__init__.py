"""Command lines: kruise-rollout and kubectl-kruise. Parsing and printing only."""
