"""CEL, Kubernetes' expression language: from source to a Program. Knows no schema of Kubernetes and no request."""
