"""What the processes of a run agree on before and as they train: what process 0 says, all do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from gradus.engine.snapshot import Course, Snapshot, parts_of, snapshot_of
from gradus.errors import InputError
from gradus.runs.choices import flag
from gradus.runs.spec import RunSpec
from gradus.runs.start import Start, parts_of_start, start_of_parts

if TYPE_CHECKING:
    from torch import Tensor

    from gradus.engine.job import Progress
    from gradus.runs.processes.group import Processes


def on_run(
    processes: Processes, spec: RunSpec | None, start: Start | None
) -> tuple[RunSpec, Start | None]:
    """Which run it is, and what it begins with.

    Args:
        processes: they.
        spec: what this process was asked for, where it was.
        start: likewise, of process 0.

    Raises:
        InputError: this one was asked for another run than process 0.
    """
    if processes.rank == 0:
        assert spec is not None
        _say(processes, {"spec": spec.model_dump(mode="json"), "begins": start is not None})
        if start is not None:
            tensors, facts = parts_of_start(start)
            _say(processes, facts, tensors)
        return spec, start
    said, _ = _heard(processes)
    theirs = RunSpec.read(said["spec"])
    if spec is not None:
        for name in RunSpec.model_fields:
            if getattr(spec, name) != getattr(theirs, name):
                raise InputError(
                    f"{flag(name)}: process 0 was given {getattr(theirs, name)}, and this one "
                    f"{getattr(spec, name)}; give all the same"
                )
    if said["begins"]:
        facts, tensors = _heard(processes)
        start = start_of_parts(tensors, facts)
    return theirs, start


def on_data(processes: Processes, digest: str) -> None:
    """Hold the data of this process against those of process 0.

    Raises:
        InputError: they are others.
    """
    if processes.said(digest.encode()).decode() != digest:
        raise InputError("its data are others than those of process 0; give all the same")


def on_rate(processes: Processes, lr: float | None) -> float:
    """The learning rate that process 0 has found."""
    return float(processes.said(b"" if lr is None else repr(lr).encode()))


def on_course(processes: Processes, course: Course) -> Course:
    """The course of this process: it goes on where process 0 does, and ends where that ends.

    Process 0 is observed, if it is, and says after every row and every evaluation what came of it.
    """
    is_observed = processes.said(b"yes" if course.observe is not None else b"no") == b"yes"
    course = replace(course, since=_on_place(processes, course.since))
    if not is_observed:
        return course
    own = course.observe

    def observe(progress: Progress) -> Literal["stop"] | None:
        stops = own is not None and own(progress) == "stop"
        return "stop" if processes.said(b"stop" if stops else b"go") == b"stop" else None

    return replace(course, observe=observe)


def _on_place(processes: Processes, since: Snapshot | None) -> Snapshot | None:
    """Where the run goes on, as process 0 has read it."""
    if processes.rank == 0:
        if since is None:
            processes.said()
            return None
        tensors, facts = parts_of(since)
        _say(processes, facts, tensors)
        return since
    content = processes.said()
    return snapshot_of(*reversed(_read(content))) if content else None


def _say(
    processes: Processes, facts: Mapping[str, Any], tensors: dict[str, Tensor] | None = None
) -> None:
    import safetensors.torch

    written = json.dumps(facts).encode()
    content = safetensors.torch.save(tensors or {})
    processes.said(len(written).to_bytes(8, "little") + written + content)


def _heard(processes: Processes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    return _read(processes.said())


def _read(content: bytes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    import safetensors.torch

    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), safetensors.torch.load(content[end:])
