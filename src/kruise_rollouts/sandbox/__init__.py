"""A Kubernetes in this process: API server, built-in controllers, kubelet. Knows neither core/ nor operator/."""
