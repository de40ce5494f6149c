"""How a run goes on: one that was broken off, or one that has ended and is to have more epochs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradus.data.streaming import USUAL_CACHE, Cache
from gradus.errors import InputError, quoted
from gradus.models.own import check_named, is_object, is_users
from gradus.runs import checkpoint
from gradus.runs.choices import flag
from gradus.runs.further import further
from gradus.runs.lock import locked
from gradus.runs.objects.given import NO_OBJECTS, Objects
from gradus.runs.processes.taking_part import follows
from gradus.runs.record import Run, open_run
from gradus.runs.spec import RunSpec
from gradus.runs.standing import CHECKPOINT
from gradus.runs.train import LOG, Observer, Seen, Shown, Tell, train_in

if TYPE_CHECKING:
    from gradus.data.streaming.passes import Watch
    from gradus.runs.callbacks import Callbacks


def resume(
    folder: str | os.PathLike[str],
    *,
    epochs: int | None = None,
    patience: int | None = None,
    keep_state: bool = True,
    model: str | None = None,
    method: str | None = None,
    said: Mapping[str, Any] | None = None,
    trust: bool = False,
    data_dir: str | os.PathLike[str] | None = None,
    observe: Observer | None = None,
    progress: Shown | None = None,
    tell: Tell = LOG,
    objects: Objects = NO_OBJECTS,
    callbacks: Callbacks | None = None,
    cache: Cache = USUAL_CACHE,
    reading: Watch = lambda what, done, of: None,
    processes: int | None = 1,
) -> Run:
    """Go on with the run of a folder: :func:`gradus.resume`, in the words of flags.

    Its arguments are those of that, but for ``model`` and ``method``, which are names alone, as is
    what else is ``said`` again of the run, by option; ``objects``, with which the run was begun,
    and of which its record says what identifies them; and ``callbacks``, which are one.

    Raises:
        InputError: there is no such run, another process is training it, its data have changed, or
            it was written by a newer version of Gradus; or its model is code that was not named.
            With more epochs: it was broken off, did not end well, or kept no state.
    """
    folder = Path(folder)
    seen = Seen(
        *(data_dir, observe, progress, tell, callbacks),
        cache=cache,
        reading=reading,
        processes=processes,
    )
    if follows(processes):
        return train_in(None, None, seen, objects=objects)
    given = {"epochs": epochs, "patience": patience}
    changes = {name: value for name, value in given.items() if value is not None}
    again = {"model": model, "method": method, **(said or {})}
    if spec := _broken_off(folder):
        _check_same(folder, spec, changes)
        _check_said(folder, spec, again)
    elif not changes:
        ended = open_run(folder)
        if isinstance(ended, Run):
            _check_said(folder, ended.spec, again)
        return _ended(folder, model, objects, trust=trust)
    else:
        spec = further(folder, changes).spec
        _check_said(folder, spec, again)
    check_named([spec.model], folder, named=[str(model)], trust=trust)
    check_named([spec.method], folder, named=[str(method)], trust=trust, option="method")
    objects.check_same(spec, folder)
    objects = objects.named_by(spec)
    with locked(folder, f"{CHECKPOINT}/lock"):
        # Another process may have gone on meanwhile, and ended.
        if spec := _broken_off(folder):
            return train_in(
                spec, folder, seen, goes_on=True, keep_state=keep_state, objects=objects
            )
        try:
            if changes:
                found = further(folder, changes)
                return train_in(
                    found.spec, folder, seen, more=found, keep_state=keep_state, objects=objects
                )
            return _ended(folder, model, objects, trust=trust)
        finally:
            if not _broken_off(folder):
                checkpoint.remove(folder / CHECKPOINT)


def _ended(folder: Path, model: str | None, objects: Objects, *, trust: bool) -> Run:
    """A run that has ended, with what was given of it again."""
    run = open_run(folder, model=model, trust=trust)
    if not isinstance(run, Run) or not objects.identities:
        return run
    objects.check_same(run.spec, folder, whole=False)
    return replace(run, maker=objects.model)


def _check_same(folder: Path, spec: RunSpec, changes: Mapping[str, int]) -> None:
    """A run that was broken off ends as it was begun, before it is given more."""
    for name, value in changes.items():
        if value != getattr(spec, name):
            raise InputError(
                f"--resume {folder}: this run was broken off; go on with it as it was specified "
                f"first, without {flag(name)}"
            )


def _check_said(folder: Path, spec: RunSpec, said: Mapping[str, Any]) -> None:
    """Refuse names that are given again of a run, and are others than those of its record."""
    for name, value in said.items():
        known = getattr(spec, name)
        if value is None or is_object(value) or is_users(str(known)) or name == "metrics":
            continue
        is_same = str(value) == str(known)
        if name == "data" and not is_same:
            is_same = Path(value).resolve() == Path(known).resolve()
        if not is_same:
            raise InputError(
                f"{flag(name)} {quoted(value)}: the run of {folder} has {quoted(known)}, with "
                "which it goes on; leave it out"
            )


def _broken_off(folder: Path) -> RunSpec | None:
    """The spec of a run that has not ended; None where it has.

    Raises:
        InputError: there is no run in the folder.
    """
    spec = checkpoint.begun(folder / CHECKPOINT)
    if (folder / "run.json").exists():
        run = open_run(folder)
        # A record that is to be overwritten stays until the new one is complete.
        if spec is None or spec == run.spec:
            return run.spec if run.status == "interrupted" else None
    elif spec is None:
        held = ", ".join(sorted(path.name for path in folder.glob("*"))[:5])
        there = f"holds {held}" if held else "is empty" if folder.is_dir() else "does not exist"
        if folder.is_file():
            raise InputError(f"--resume {folder}: is a file; give the folder of a run")
        raise InputError(f"--resume {folder}: no run to go on with: the folder {there}")
    return spec
