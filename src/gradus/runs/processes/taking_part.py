"""Who trains a run: this process alone, those it starts, or those that were started with it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gradus.errors import InputError, quoted, reason
from gradus.runs.processes.environment import in_environment

if TYPE_CHECKING:
    from gradus.runs.processes.group import Processes


def follows(processes: int | None) -> bool:
    """Whether another process keeps the record of the run, and speaks to the user.

    Args:
        processes: as they were asked for; None: as the environment says.

    Raises:
        InputError: it says otherwise.
    """
    where = _found(processes)
    return where is not None and where[0] > 0


def is_restarted() -> bool:
    """Whether ``torchrun`` has started the processes again, after one of them failed."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def check_folder(processes: int | None) -> None:
    """Refuse a run without a folder of its own where processes are to be started again.

    Raises:
        InputError: they are: a restart would not find what it is to go on with.
    """
    restarts = os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")
    if _found(processes) is not None and int(restarts) > 0:
        raise InputError(
            f"--max-restarts {restarts}: a restart goes on with the run of a folder; give it by "
            "--out"
        )


@contextmanager
def taking_part(processes: int | None, handed: Mapping[str, Any]) -> Iterator[Processes | None]:
    """Those that train the run together; None: this process alone.

    Args:
        processes: as they were asked for; None: as the environment says.
        handed: what those that are started need beside what the first tells them.

    Raises:
        InputError: they cannot be started or reached, or one of them fails.
    """
    if _found(processes) is not None:
        from gradus.runs.processes.group import joined, of_environment

        with joined(of_environment) as together:
            yield together
    elif processes is None or processes == 1:
        yield None
    else:
        import cloudpickle

        from gradus.runs.processes.children import started

        try:
            content = cloudpickle.dumps(handed)
        except Exception as error:
            raise InputError(
                f"--processes {processes}: what was given cannot be handed to other processes: "
                f"{reason(error)}"
            ) from error
        with started(processes, content) as together:
            yield together


def _found(processes: int | None) -> tuple[int, int] | None:
    """The rank and the number of the processes that were started with this one, if any were."""
    if processes == 1:
        return None
    if processes is not None and not (isinstance(processes, int) and processes > 0):
        raise InputError(f"--processes {quoted(processes)}: give a whole number from 1 on")
    where = in_environment()
    if where is not None and processes not in (None, where[1]):
        raise InputError(
            f"--processes {processes}: {where[1]} were started already, as WORLD_SIZE says; leave "
            "it out"
        )
    return where
