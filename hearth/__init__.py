"""Hearth's shared kernel: what every process needs, and the command that composes them."""

__version__ = "0.1.0"
