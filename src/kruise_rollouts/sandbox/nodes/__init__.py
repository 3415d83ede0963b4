"""Simulated nodes: scheduler, kubelet, and the life of a pod."""
