"""The version of Gradus, in one place."""

__version__ = "0.1.0"
