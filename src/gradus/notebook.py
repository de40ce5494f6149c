"""What a notebook shows of a result: the one place from which results know their pictures."""

from __future__ import annotations


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
