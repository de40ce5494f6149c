"""Where the nets of a run go on, and where they are kept on their way and at their end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, final

from gradus.engine.snapshot import Course, Snapshot
from gradus.errors import InputError
from gradus.runs import checkpoint
from gradus.runs.further import STATE, Further

if TYPE_CHECKING:
    from gradus.data.dataset import Split
    from gradus.engine.job import Job
    from gradus.runs.spec import RunSpec
    from gradus.runs.start import Start

CHECKPOINT = "checkpoint"
"""In the folder of a run, what it goes on from where it is broken off."""


class Engine(NamedTuple):
    """Which engine executes a run, and why it is not the native one."""

    name: str
    why: str | None


@final
class Standing:
    """What a folder holds of a run under way.

    Args:
        folder: of the run; it is locked.
        engine: that executes it.
        epochs: that it is to have.
        keep_state: whether the state at the end is kept.
        tell: told, in one line each, what the user is to know.
        objects: what identifies those that it is trained on.
    """

    def __init__(
        self,
        folder: Path,
        engine: Engine,
        *,
        epochs: int,
        keep_state: bool,
        tell: Callable[[str], None],
        objects: Mapping[str, Any],
    ) -> None:
        self.kept, self.state = folder / CHECKPOINT, folder / STATE
        self.engine, self.epochs = engine, epochs
        self.keep_state, self.tell, self.objects = keep_state, tell, objects
        self.origin: Sequence[Mapping[str, Any]] = ()
        self.rate: Mapping[str, Any] | None = None
        self.since: Snapshot | None = None
        self.ends: dict[int, Snapshot] = {}

    def begin(
        self,
        spec: RunSpec,
        split: Split,
        start: Start | None,
        rate: Mapping[str, Any] | None = None,
    ) -> None:
        """The run begins, with a learning rate that was found so, where it was."""
        self.origin, self.rate = () if start is None else start.origin, rate
        checkpoint.begin(self.kept, spec, split, self.origin, start, rate, self.objects)

    def go_on(self, spec: RunSpec, split: Split, start: Start | None) -> None:
        """The run goes on where it was broken off.

        Raises:
            InputError: its data have changed, or it was begun on another engine.
        """
        if checkpoint.begun(self.kept) is None:
            self.begin(spec, split, start)
            return
        checkpoint.check_data(self.kept, split)
        begun = checkpoint.beginning(self.kept)
        self.origin, self.rate = begun.origin, begun.rate
        self.since = self._read(self.kept)
        if self.since is None and self._goes_further:
            self.since = self._read(self.state)

    def go_further(
        self, more: Further, job: Job, spec: RunSpec, split: Split, start: Start | None
    ) -> None:
        """The run has ended, and goes on with more epochs.

        Raises:
            InputError: what is kept of it is damaged; its data have changed, its patience is spent,
                or it was begun on another engine.
        """
        checkpoint.check_data(self.state, split)
        since = self._read(self.state)
        if since is None:
            raise self._damaged(self.state)
        more.check(job, since)
        if (told := more.told(job, since)) is not None:
            self.tell(told)
        self.origin, self.since, self.rate = more.origin, since, more.rate
        checkpoint.begin(self.kept, spec, split, self.origin, start, self.rate, self.objects)
        checkpoint.write(self.kept, since)

    def course(self, net: int) -> Course:
        """What becomes of a net: the first is kept on its way too."""
        since = self.since
        if net > 0:
            since, folder = None, self.state / _name(net)
            if self._goes_further and (since := self._read(folder)) is None:
                raise self._damaged(folder)
        end = None
        if self.keep_state:
            if since is not None:  # its patience may be spent: then it stays there
                self.ends[net] = since

            def end(snapshot: Snapshot) -> None:
                self.ends[net] = snapshot

        keep = None if net > 0 else lambda snapshot: checkpoint.write(self.kept, snapshot)
        return Course(since, keep=keep, end=end)

    def close(self, *, ended_well: bool) -> None:
        """The record of the run is complete: what is left is where it stands, if that is kept."""
        # The stacked engine takes no snapshot: of it there is no end to go on from.
        if not (ended_well and self.keep_state and 0 in self.ends):
            checkpoint.remove(self.state)
            checkpoint.remove(self.kept)
            return
        others = {_name(net): end for net, end in self.ends.items() if net > 0}
        checkpoint.keep_end(self.kept, self.ends[0], others, self.state)

    @property
    def _goes_further(self) -> bool:
        return bool(self.origin) and self.origin[-1]["how"] == "resume"

    def _damaged(self, folder: Path) -> InputError:
        return InputError(
            f"{folder}: is damaged; train the run again with --spec "
            f"{self.state.parent / 'run.json'} --epochs {self.epochs}"
        )

    def _read(self, folder: Path) -> Snapshot | None:
        since = checkpoint.read(folder, self.tell)
        if since is not None and since.engine != self.engine.name:
            reason = f": {self.engine.why}" if self.engine.why else ""
            raise InputError(
                f"{self.kept.parent}: was begun on the {since.engine} engine, and would go on on "
                f"the {self.engine.name} one{reason}; train it again with --overwrite"
            )
        return since


def _name(net: int) -> str:
    return f"net-{net}"
