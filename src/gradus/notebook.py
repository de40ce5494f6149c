"""What a notebook shows of a result: the one place from which results know their pictures."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

LINE_EVERY = 0.25
"""Seconds between two lines below a cell."""


def in_notebook(result: object) -> str:
    """A result as HTML: a picture and a table, for any ground.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: (w**2).sum()
        >>> path = gradus.minimize(f, torch.ones(2), gradus.methods.GradientDescent(0.1), steps=3)
        >>> in_notebook(path).startswith("<div"), "<svg" in in_notebook(path)
        (True, True)
    """
    from gradus.figures.notebook import cell

    return cell(result)


def cell_line() -> Callable[[str], None] | None:
    """What shows a line below the cell that runs, each in the place of the one before.

    None outside of notebooks, where results are not shown by themselves.
    """
    if "IPython" not in sys.modules:
        return None
    from IPython import display, get_ipython

    if not hasattr(get_ipython(), "kernel"):
        return None
    untyped: Any = display
    handle = untyped.DisplayHandle()
    shown = False

    def show(line: str) -> None:
        nonlocal shown
        handle.display({"text/plain": line}, raw=True, update=shown)
        shown = True

    return show
