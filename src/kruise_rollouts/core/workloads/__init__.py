"""Workload kinds, one adapter file each, and the registry that names them."""
