"""Whether the C++ kernels are here, and which variant of them runs on this processor."""

import functools
import importlib
import os
from pathlib import Path
from types import ModuleType

from gradus.errors import InputError

VARIABLE = "GRADUS_KERNELS"
"""The environment variable that forces a variant."""
ROOTS_VARIABLE = "GRADUS_ROOTS"
"""The environment variable that says whose square roots an update in place takes."""


def core() -> ModuleType | None:
    """Return the C++ core `gradus.kernels._core`, or None where it is absent.

    >>> from gradus import kernels
    >>> (kernels.core() is None) == (kernels.absence() is not None)
    True
    """
    return _load()[0]


def absence() -> str | None:
    """Return in one sentence why the C++ kernels are absent, or None where they are not."""
    return _load()[1]


def runnable() -> list[str]:
    """Return the variants of the kernels that were built and run on this processor, fastest first.

    >>> from gradus import kernels
    >>> kernels.core() is None or "portable" in kernels.runnable()
    True
    """
    found = core()
    return [] if found is None else list(found.runnable())


def variant() -> str:
    """Return the variant of the kernels to use: the fastest that this processor runs.

    The environment variable `GRADUS_KERNELS` forces another.

    Raises:
        InputError: The kernels are absent; the variant forced was not built, or this processor
            cannot run it.
    """
    found, reason = _load()
    if found is None:
        raise InputError(str(reason))
    possible = runnable()
    forced = os.environ.get(VARIABLE, "").strip().lower()
    if not forced:
        return possible[0]
    if forced in possible:
        return forced
    why = (
        "this processor does not run these kernels"
        if forced in found.built()
        else "no such kernels were built"
    )
    raise InputError(f"{VARIABLE}={forced}: {why}; possible here: {', '.join(possible)}")


def multiplies_bfloat16() -> bool:
    """Return whether products in bfloat16 stand beside the variant to use, and run here.

    Raises:
        InputError: As `variant`.
    """
    chosen, found = variant(), core()
    return found is not None and bool(found.multiplies_bfloat16(chosen))


def takes_roots_of_torch() -> bool:
    """Return whether an update in place takes torch's square roots, and so its bits.

    The environment variable `GRADUS_ROOTS` says `torch`, as it is without it, or `processor`: those
    take less time, and differ by a unit in the last place where torch does not round correctly.

    Raises:
        InputError: The variable says something else.
    """
    given = os.environ.get(ROOTS_VARIABLE, "").strip().lower()
    if given not in ("", "torch", "processor"):
        raise InputError(f"{ROOTS_VARIABLE}={given}: no such roots; possible: torch, processor")
    return given != "processor"


@functools.cache
def _load() -> tuple[ModuleType | None, str | None]:
    """The core, or why it is absent."""
    try:
        return importlib.import_module("gradus.kernels._core"), None
    except ModuleNotFoundError:
        return None, _not_built()
    except ImportError as error:
        return None, f"the C++ kernels were built but cannot be loaded: {error}"


def _not_built() -> str:
    """Why the build left the core out, as it was noted then, and what to do."""
    noted = Path(__file__).with_name("absence.txt")
    if not noted.exists():
        return (
            "the C++ kernels were not built in this source tree; "
            "`make kernels` builds them, or shows why it cannot"
        )
    return (
        f"the C++ kernels were not built: {noted.read_text().strip()} when gradus was installed; "
        "reinstall it where GCC or Clang is installed; "
        "`pip install --verbose --no-cache-dir` shows how they are built"
    )
