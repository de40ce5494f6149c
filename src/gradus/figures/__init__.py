"""Every picture: first the facts of a figure as data, then their drawing."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from gradus.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from gradus.figures.subject.catalogue import Subject

__all__ = ["draw", "facts", "names"]


def names() -> tuple[str, ...]:
    """The names of the pictures of the subject.

    Example:
        >>> import gradus
        >>> gradus.figures.names()[:3]
        ('derivative', 'descent', 'variance')
    """
    from gradus.figures.subject.catalogue import CATALOGUE

    return tuple(CATALOGUE)


def facts(name: str) -> Any:
    """What a picture of the subject shows, as data, from runs of the methods of this package.

    Args:
        name: one of ``names()``.

    Raises:
        InputError: there is no such picture.

    Example:
        >>> import gradus
        >>> gradus.figures.facts("newton").digits.round(1)[2:6]
        array([ 1.7,  3.4,  7. , 14. ])
    """
    return _subject(name).facts()


def draw(name: str) -> Figure:
    """A picture of the subject, as a matplotlib figure.

    Args:
        name: one of ``names()``.

    Raises:
        InputError: there is no such picture.

    Example:
        >>> import gradus
        >>> figure = gradus.figures.draw("losses")
        >>> len(figure.axes)
        10
    """
    subject = _subject(name)
    return subject.draw(subject.facts())


def _subject(name: str) -> Subject:
    from gradus.figures.subject.catalogue import CATALOGUE

    if name not in CATALOGUE:
        near = difflib.get_close_matches(name, CATALOGUE, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise InputError(f"{name}: no picture of this name{hint}; choose {', '.join(CATALOGUE)}")
    return CATALOGUE[name]
