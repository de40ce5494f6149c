"""What those that start the processes of a run say of each in its environment."""

from __future__ import annotations

import os

from gradus.errors import InputError


def in_environment() -> tuple[int, int] | None:
    """The rank and the number of processes, as ``torchrun`` sets them; None for one alone.

    Raises:
        InputError: they are no such numbers.
    """
    given = os.environ.get("RANK"), os.environ.get("WORLD_SIZE")
    if None in given:
        return None
    try:
        rank, size = (int(each or "") for each in given)
    except ValueError:
        rank, size = -1, 0
    if not 0 <= rank < size:
        raise InputError(
            f"RANK={given[0]}, WORLD_SIZE={given[1]}: are set in the environment, and are not the "
            "number of a process and how many there are; unset both"
        )
    return None if size == 1 else (rank, size)
