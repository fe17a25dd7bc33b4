"""Workflow executions: a pure core that decides, a durable shell that commits and acts."""
