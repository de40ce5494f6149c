"""A figure by its name and title, not drawn yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A figure, not drawn yet.

    Attributes:
        name: of its file.
        title: what it shows.
        draw: gives the figure.
    """

    name: str
    title: str
    draw: Callable[[], Figure]
