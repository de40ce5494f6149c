"""Where a network went as it was trained: its path over the true risk, in a plane."""

from gradus.figures.landscape.landscape import draw, facts

__all__ = ["draw", "facts"]
