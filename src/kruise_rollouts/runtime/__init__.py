"""Informers, queues, the fold loop, webhooks, leases. Knows nothing of rollouts."""
