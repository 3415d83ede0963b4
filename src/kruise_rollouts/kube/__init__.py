"""Kubernetes machinery as data: refs, writes, errors, selectors, patches. Pure: no I/O, no clock, no rollouts."""
