"""What the process of a sweep and its workers say to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gradus.runs.spec import RunSpec
from gradus.sweep.result import Result


@dataclass(frozen=True)
class Task:
    """A run, or the part of it up to where it may be cut.

    Attributes:
        run: its id.
        spec: what determines it.
        data: which of the data that the worker was given.
        until: after which epoch to pause; None: train all of it.
    """

    run: str
    spec: RunSpec
    data: int
    until: int | None = None


@dataclass(frozen=True)
class Together:
    """Runs that are trained as one block."""

    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class Data:
    """Data to map; the descriptor of their file follows."""

    number: int
    size: int
    split: Any


@dataclass(frozen=True)
class Forget:
    """Data that no run needs for now."""

    number: int


@dataclass(frozen=True)
class Stop:
    """Send what has ended, and end."""


Order = Task | Together | Data | Forget | Stop
"""What a worker is told."""


@dataclass(frozen=True)
class Ready:
    """The worker has started."""


@dataclass(frozen=True)
class Ended:
    """Runs that have ended or paused."""

    results: tuple[Result, ...]


@dataclass(frozen=True)
class Under:
    """How far the run under way is."""

    run: str
    epoch: int
    step: int
    samples: int
    loss: float | None


@dataclass(frozen=True)
class Damaged:
    """A checkpoint was damaged."""

    message: str


@dataclass(frozen=True)
class Refused:
    """A run cannot be trained.

    Attributes:
        wrong: whether the user's input is wrong, or a disk is full: the message says it in one
            line. Else it is a traceback.
    """

    run: str
    message: str
    wrong: bool


Word = Ready | Ended | Under | Damaged | Refused
"""What a worker says."""
