"""A peer: remote calls by Celery on the same broker, with the same function and as many processes."""
