"""Loops that are not Gradus's: the same record of them, as they go."""
