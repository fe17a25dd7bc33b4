"""Processes that invoke on their own account: the dispatcher of asynchronous invocations."""
