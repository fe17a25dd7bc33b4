"""Load tests: locust against the HTTP Invoke endpoint."""
