"""Apprentice: an autonomous coding agent that verifies its fixes and learns from its work."""

__version__ = "0.1.0"
__all__ = ["__version__"]
