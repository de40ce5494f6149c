"""The messages between the scheduler of a sweep and its worker processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradus.runs.files import own_folder, write_whole
from gradus.runs.spec import RunSpec
from gradus.sweep.result import Result


@dataclass(frozen=True)
class Task:
    """Train a run, or the part of it up to the epoch at which pruning compares it.

    Attributes:
        run: its id.
        spec: what determines it.
        split: the number of the split that it is trained on, shared before.
        until: the epoch after which the run pauses; None: train all of it.
        among: its record is kept if it is one of so many best of its worker; 0: it is not.
    """

    run: str
    spec: RunSpec
    split: int
    until: int | None = None
    among: int = 0


@dataclass(frozen=True)
class TaskBatch:
    """Train several runs at once, stacked on one device."""

    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class ShareSplit:
    """Map a split from shared memory; the descriptor of its file follows on the socket."""

    number: int
    size: int
    split: Any


@dataclass(frozen=True)
class ReleaseSplit:
    """Unmap a split that no task in the queue needs."""

    number: int


@dataclass(frozen=True)
class Stop:
    """Send the results of tasks that have ended, and exit."""


Command = Task | TaskBatch | ShareSplit | ReleaseSplit | Stop
"""A message from the scheduler to a worker."""


@dataclass(frozen=True)
class Ready:
    """The worker has started."""


@dataclass(frozen=True)
class TasksEnded:
    """The results of tasks that have ended or paused."""

    results: tuple[Result, ...]


@dataclass(frozen=True)
class Heartbeat:
    """How far the task being trained is, sent about twice a second."""

    run: str
    epoch: int
    step: int
    samples: int
    loss: float | None


@dataclass(frozen=True)
class Alive:
    """The worker process runs, whatever its task does; sent where no command arrives."""


@dataclass(frozen=True)
class CheckpointDamaged:
    """A damaged checkpoint was skipped."""

    message: str


@dataclass(frozen=True)
class FilesKept:
    """All files of a run under way, or of a record, that stand in a folder of another machine.

    Attributes:
        kind: the folder in that of the sweep, ``checkpoints`` or ``models``.
        run: the id of the run, which is the folder in that one.
        files: their contents by their paths in it.
    """

    kind: str
    run: str
    files: Mapping[str, bytes]

    @classmethod
    def of(cls, folder: Path) -> FilesKept:
        """Those of a folder."""
        files = {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        return cls(folder.parent.name, folder.name, files)

    def write(self, folder: Path) -> None:
        """Write them into the folder of a sweep: what makes them whole last, and no others stay."""
        own = own_folder(own_folder(folder / self.kind) / self.run)
        for name in sorted(self.files, key=lambda name: (name.endswith(".json"), name)):
            own_folder((own / name).parent)
            write_whole(own / name, self.files[name])
        for path in own.rglob("*"):
            if path.is_file() and str(path.relative_to(own)) not in self.files:
                path.unlink()


@dataclass(frozen=True)
class TaskError:
    """A task raised an exception.

    Attributes:
        run: the id of its run.
        message: one line where ``wrong``, else the traceback.
        wrong: whether the cause is the user's input or the file system, not a defect.
    """

    run: str
    message: str
    wrong: bool


WorkerMessage = Ready | Alive | TasksEnded | Heartbeat | CheckpointDamaged | FilesKept | TaskError
"""A message from a worker to the scheduler."""
