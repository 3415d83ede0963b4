"""What every served kind looks like: recorded schemas, decoding by them, and the OpenAPI documents."""
