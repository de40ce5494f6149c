"""What a sweep that may come from elsewhere does only where the user asks for it.

Its specification may name code (a model ``package.module:factory``) and a storage of Optuna's
anywhere, and its folder may hold links. Neither is followed unasked.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from gradus.errors import InputError, quoted
from gradus.models.own import check_named
from gradus.sweep.specification import SweepSpec

STUDY = "optuna.db"
"""In the folder of a sweep: its study, unless the sweep names another storage."""


def models_of(spec: SweepSpec) -> list[str]:
    """The models that the points of a sweep name."""
    points = spec.points
    named = [point.base.get("model") for point in points]
    named += [model for point in points for model in point.vary.get("model", ())]
    return list(dict.fromkeys(str(model) for model in named if model is not None))


def check_received(
    spec: SweepSpec,
    where: str | Path,
    *,
    models: Collection[str] = (),
    storage: str | None = None,
    trust: bool = False,
) -> None:
    """Refuse what a specification does elsewhere, unless the user's command or call names it too.

    Args:
        spec: as it was read.
        where: its file or folder, for the message.
        models: those that the command or the call names.
        storage: the one that it names.
        trust: whether the user trusts all of the specification.

    Raises:
        InputError: it names a model that is code, or a storage, that the user does not.

    Example:
        >>> spec = SweepSpec(vary={"lr": "1,0.1"}, base={"model": "mynet:make"})
        >>> check_received(spec, "sweeps/mine", models=["mynet:make"])
    """
    check_named(models_of(spec), where, named=models, trust=trust)
    if spec.storage not in (None, storage) and not trust:
        raise InputError(
            f"{where}: its storage {quoted(spec.storage)} is outside its folder: a file would be "
            f"written or a server asked there; if you know it say --storage "
            f"{quoted(spec.storage)}, or --trust"
        )


def check_links(folder: Path) -> None:
    """Refuse links in the folder of a sweep where files are written by their names.

    Raises:
        InputError: there is one.
    """
    names = ["history", "evaluation", "checkpoints", "models"]
    written = [folder / name for name in names]
    for name in ("checkpoints", "models"):
        written += (folder / name).glob("*")
    written += [folder / f"{STUDY}{suffix}" for suffix in ("", "-journal", "-wal", "-shm")]
    for path in written:
        hard = path.is_file() and path.stat().st_nlink > 1
        if path.is_symlink() or hard or (os.path.lexists(path) and not _is_plain(path)):
            raise InputError(
                f"{path}: is a link, or no plain file or folder, and nothing is written there; "
                "remove it, or put in its place what it leads to"
            )


def _is_plain(path: Path) -> bool:
    return path.is_file() or path.is_dir()
