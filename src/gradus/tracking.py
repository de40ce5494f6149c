"""Trackers that follow a run: the one place from which training knows them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from gradus.errors import InputError, quoted

if TYPE_CHECKING:
    from gradus.exchange.live import Tracking

Track = str | Iterable[str] | Mapping[str, str | os.PathLike[str]]
"""Trackers by name, ``"tensorboard,mlflow"`` or a list of them; or with where each writes."""


def tracking(
    track: Track, out: str | os.PathLike[str] | None, tell: Callable[[str], None]
) -> AbstractContextManager[Tracking | None]:
    """A block in which trackers follow a run that has what it gives among its callbacks.

    Args:
        track: the trackers; none where it is empty.
        out: the folder of the record, if it has one.
        tell: told in a line of a tracker that fails.

    Raises:
        InputError: there is no such tracker, its client is not installed, or it has no place.

    Example:
        >>> import gradus, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = gradus.train("digits", model="linear", epochs=1, out=f"{folder}/run",
        ...                        track="tensorboard")
        ...     len(list(run.folder.glob("tensorboard/events.out.*")))
        1
    """
    if isinstance(track, str):
        track = [name.strip() for name in track.split(",")]
    places = dict(track) if isinstance(track, Mapping) else dict.fromkeys(_names(track))
    if not places:
        return nullcontext()
    from gradus.exchange.live import Tracking

    return Tracking(places, None if out is None else Path(out), tell)


def _names(track: Iterable[str]) -> list[str]:
    if not isinstance(track, list | tuple):
        raise InputError(
            f'--track {quoted(track)}: give names, as "tensorboard,mlflow", or each with where '
            'it writes, {"mlflow": "mlflow.db"}'
        )
    return [str(name) for name in track]
