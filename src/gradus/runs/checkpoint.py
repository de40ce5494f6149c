"""Where a run stands, on disk: whole at every moment, however the machine stops."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from gradus.errors import InputError, quoted
from gradus.runs import earlier
from gradus.runs.choices import OPTIONS, flag
from gradus.runs.files import own_folder, read_json, read_whole, write_whole
from gradus.runs.spec import RunSpec
from gradus.runs.start import FACTS, PARAMETERS, Start

if TYPE_CHECKING:
    from torch import Tensor

    from gradus.data.dataset import Split
    from gradus.engine.snapshot import Snapshot

Made = TypeVar("Made")

BEGINNING = "run.json"
"""Beside the checkpoints of a run: which run it is."""

VERSION = 2
"""Of the checkpoints: a version that is not known is not read."""

BEGINNING_VERSION = 3
"""Of the file that says which run it is; from 2 on it is covered by a checksum, from 3 on it says
what the run goes on from, if it does."""


class Begun(NamedTuple):
    """Which run was begun.

    Attributes:
        spec: of it.
        data: the digest of its data.
        origin: the runs that it goes on from, as its record will say.
        rate: how its learning rate was found, likewise; None where it was given.
        objects: what identifies those that it was begun with, likewise.
    """

    spec: RunSpec
    data: str
    origin: list[dict[str, Any]]
    rate: dict[str, Any] | None
    objects: dict[str, Any]


def begin(
    folder: Path,
    spec: RunSpec,
    split: Split,
    origin: Sequence[Mapping[str, Any]] = (),
    start: Start | None = None,
    rate: Mapping[str, Any] | None = None,
    objects: Mapping[str, Any] | None = None,
) -> None:
    """Write down which run is about to begin, on which data; what was kept of another is removed.

    Args:
        folder: of its checkpoints.
        spec: of the run.
        split: its data.
        origin: the runs that it goes on from.
        start: what it begins with, where that is another's.
        rate: how its learning rate was found, where it was not given.
        objects: what identifies those that it is begun with.

    Raises:
        OSError: it cannot be written.
    """
    content: dict[str, Any] = {
        "format": BEGINNING_VERSION,
        "spec": spec.model_dump(mode="json"),
        "data": digest(split),
        "origin": list(origin),
    }
    if rate is not None:
        content["learning_rate"] = dict(rate)
    if objects:
        content["objects"] = dict(objects)
    content["sha256"] = _sha256(b"", content)
    own_folder(folder)
    for number in _numbers(folder):
        _remove(folder, number)
    for name in (PARAMETERS, FACTS):
        (folder / name).unlink(missing_ok=True)
    if start is not None:
        start.write(folder)
    write_whole(folder / BEGINNING, json.dumps(content).encode())


def begun(folder: Path) -> RunSpec | None:
    """Which run was begun in a folder and not ended; None where there is none.

    Raises:
        InputError: it was written by a newer version of Gradus, or is damaged.
    """
    try:
        return beginning(folder).spec
    except (FileNotFoundError, NotADirectoryError):
        return None


def beginning(folder: Path) -> Begun:
    """Which run was begun.

    Raises:
        FileNotFoundError: none was.
        InputError: it was written by a newer version of Gradus, or is damaged.
    """
    path = folder / BEGINNING
    try:
        content = dict(read_json(path))
        version = content["format"]
        check_version(version, path, BEGINNING_VERSION)
        checksum = content.pop("sha256", None)
        if version != 1 and checksum != _sha256(b"", content):
            raise ValueError("its content is not what was written")
        spec = RunSpec.read(earlier.spec_of(content["spec"]))
        if (changed := _not_as_written(content["spec"], spec)) is not None:
            raise ValueError(f"its {changed} is not what was written")
        rate = content.get("learning_rate")
        return Begun(
            spec,
            str(content["data"]),
            [dict(each) for each in content.get("origin", [])],
            None if rate is None else dict(rate),
            dict(content.get("objects", {})),
        )
    except (FileNotFoundError, NotADirectoryError):
        raise
    except KeyError as error:
        raise _damaged(path, f"{error} is missing") from None
    except (OSError, ValueError, TypeError) as error:
        if isinstance(error, InputError) and str(error).startswith(str(path)):
            raise
        raise _damaged(path, quoted(error)) from None


def _not_as_written(written: Mapping[str, Any], spec: RunSpec) -> str | None:
    """An option that a spec does not have as it was written, or that was filled in for want of it.

    The first format has no checksum: there this is what is seen of damage.
    """
    options = spec.model_dump(mode="json")
    for name, value in written.items():
        if options[name] != value:
            return flag(name)
    for choice, table in OPTIONS.items():
        for name in table.get(str(options[choice]), ()):
            if name not in written and name not in earlier.NO_OPTIONS_THEN:
                return flag(name)
    return None


def _damaged(path: Path, what: str) -> InputError:
    return InputError(f"{path}: is damaged ({what}); train the run again")


def check_data(folder: Path, split: Split) -> None:
    """Refuse data that are not those on which the run was begun.

    Raises:
        InputError: they are not.
    """
    if beginning(folder).data != digest(split):
        raise InputError(
            f"{folder.parent}: was begun on other data: {split.description} has changed since; "
            "train it again with --overwrite"
        )


def digest(split: Split) -> str:
    """What identifies prepared data: all their numbers."""
    from gradus.data.streaming.order import StreamOrder
    from gradus.risk.sparse import parts_of

    digest = hashlib.sha256()
    if isinstance(split.order, StreamOrder):
        digest.update(split.order.digest.encode())
    for data in (split.train, split.validation, split.test):
        if data is None:
            continue
        for tensor in (data.x, data.y, data.weights):
            if tensor is None:
                continue
            digest.update(str((tensor.dtype, tuple(tensor.shape))).encode())
            for part in parts_of(tensor):
                digest.update(part.contiguous().numpy().data)
    return digest.hexdigest()


def write(folder: Path, snapshot: Snapshot) -> None:
    """Keep where a run stands, as `write_parts` does.

    Raises:
        OSError: it cannot be written; the one before is as it was.
    """
    from gradus.engine.snapshot import parts_of

    write_parts(folder, *parts_of(snapshot))


def write_parts(folder: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Keep tensors and facts: ``N.safetensors`` and ``N.json``, one after another.

    The latter says of which run, so that a file that stands in the wrong folder is found out.

    The one before is removed once the new one has been read back and is what was to be written.

    Raises:
        OSError: it cannot be written; the one before is as it was.
    """
    import safetensors.torch

    content = safetensors.torch.save(tensors)
    number = max(_numbers(folder), default=0) + 1
    paths = _paths(folder, number)
    of = _checksum_of_beginning(folder)
    described = {
        "format": VERSION, "of": of, "sha256": _sha256(content, facts, of), "facts": facts
    }  # fmt: skip
    try:
        own_folder(folder)
        write_whole(paths[0], content)
        write_whole(paths[1], json.dumps(described).encode())
        if paths[0].read_bytes() != content:
            raise OSError(None, "what was written is not what is read back", str(paths[0]))
    except OSError:
        for path in paths:
            path.unlink(missing_ok=True)
        raise
    for before in _numbers(folder):
        if before < number:
            _remove(folder, before)


def read(folder: Path, tell: Callable[[str], None]) -> Snapshot | None:
    """Where the run of a folder stood last; None where nothing is kept.

    Args:
        folder: of its checkpoints.
        tell: told, in one line each, of those that are damaged: the one before is then taken.

    Raises:
        InputError: it was written by a newer version of Gradus.
    """
    from gradus.engine.snapshot import snapshot_of

    return read_parts(folder, tell, snapshot_of)


def engine_of(folder: Path) -> str | None:
    """Which engine left the last checkpoint of a folder; None where it cannot be told."""
    for number in sorted(_numbers(folder), reverse=True):
        try:
            return str(dict(read_json(_paths(folder, number)[1]))["facts"]["engine"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def read_parts(
    folder: Path,
    tell: Callable[[str], None],
    made: Callable[[dict[str, Tensor], dict[str, Any]], Made],
) -> Made | None:
    """What `write_parts` kept last, and what is made of it; None where nothing is kept.

    Args:
        folder: of the checkpoints.
        tell: told, in one line each, of those that are damaged: the one before is then taken.
        made: makes something of the tensors and the facts.

    Raises:
        InputError: it was written by a newer version of Gradus.
    """
    from safetensors import SafetensorError

    for number in sorted(_numbers(folder), reverse=True):
        if not _paths(folder, number)[1].exists():
            continue  # a process ended while it wrote the tensors
        try:
            return made(*_read(*_paths(folder, number)))
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            if isinstance(error, InputError):
                raise
            lost = f"{folder / str(number)}: this checkpoint is damaged ({quoted(error)})"
            tell(f"{lost}; the run goes on from an earlier one, or from its beginning")
    return None


def keep_end(folder: Path, end: Snapshot, others: Mapping[str, Snapshot], state: Path) -> None:
    """Keep where a run stands at its end in a folder of its own, and nothing else of it.

    Args:
        folder: of its checkpoints, which are removed.
        end: where it stands.
        others: where the others of its nets stand, by the names of their folders in that one.
        state: the folder; what it held of another run is removed.

    Raises:
        OSError: it cannot be written.
    """
    write(folder, end)
    remove(state)
    own_folder(state)
    for name, other in others.items():
        write(state / name, other)
    number = max(_numbers(folder))
    begun_with = [path for name in (PARAMETERS, FACTS) if (path := folder / name).exists()]
    # With the last it is complete.
    for path in (*begun_with, *_paths(folder, number), folder / BEGINNING):
        path.replace(state / path.name)
    remove(folder)


def remove(folder: Path) -> None:
    """Remove what is kept of a run, whose record is complete."""
    shutil.rmtree(folder, ignore_errors=True)


def _read(tensors_path: Path, facts_path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    import safetensors.torch

    described: dict[str, Any] = dict(read_json(facts_path))
    check_version(described["format"], facts_path, VERSION)
    content, facts = read_whole(tensors_path), described["facts"]
    of = str(described.get("of", ""))  # not known to earlier versions
    if _sha256(content, facts, of) != described["sha256"]:
        raise ValueError("its content is not what was written")
    if of and of != _checksum_of_beginning(facts_path.parent):
        raise ValueError("it is that of another run")
    return safetensors.torch.load(content), facts


def _sha256(content: bytes, facts: dict[str, Any], of: str = "") -> str:
    return hashlib.sha256(content + json.dumps(facts).encode() + of.encode()).hexdigest()


def _checksum_of_beginning(folder: Path) -> str:
    """Of the file that says which run it is; "" where there is none, as in a sweep."""
    path = folder / BEGINNING
    return hashlib.sha256(read_whole(path)).hexdigest() if path.exists() else ""


def check_version(version: Any, path: Path, known: int) -> None:
    """Refuse what a newer version of Gradus has written.

    Raises:
        InputError: it has.
    """
    if isinstance(version, int) and version > known:
        raise InputError(
            f"{path}: written by a newer Gradus (format {version}, this one knows {known}); "
            "update Gradus"
        )


def _numbers(folder: Path) -> set[int]:
    """Of the checkpoints of which anything is there."""
    return {int(path.stem) for path in folder.glob("[0-9]*.*") if path.stem.isdecimal()}


def _paths(folder: Path, number: int) -> tuple[Path, Path]:
    return folder / f"{number}.safetensors", folder / f"{number}.json"


def _remove(folder: Path, number: int) -> None:
    for path in reversed(_paths(folder, number)):
        path.unlink(missing_ok=True)
