"""The `hearth` command: the composition root, the one place that imports the services."""
