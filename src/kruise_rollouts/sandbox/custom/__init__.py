"""Custom resources: what a CRD must be, what its objects must be, and conversion between its versions."""
