"""The run once more, exactly, and what is seen of it on its way."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gradus.diagnosis.case import Case
from gradus.diagnosis.clock import now
from gradus.diagnosis.preconditioner import preconditioner
from gradus.engine import choose
from gradus.engine.execution import Execution
from gradus.engine.job import Job, Outcome
from gradus.engine.snapshot import Course, Watch

SIGHTS = 12
"""Steps at which the run is looked at, evenly spaced in their logarithm."""

BEFORE = 3
"""Steps before the event that are looked at too."""

CLOCK = 40
"""Times that the clock is looked at on the way."""

MEMORY = 2**28
"""Bytes of what is kept of all sights; of large models fewer are kept."""

AS_RECORDED = 1e-3
"""A replay whose losses differ by more from those of the record, relatively, is another run."""


@dataclass(frozen=True, eq=False)
class Sight:
    """Where the run stood after a step.

    Attributes:
        step: parameter updates so far.
        w: all parameters that move, ``[d]``.
        buffers: running statistics, by name.
        preconditioner: what the method divides the gradient by, ``[d]``; None where it does not.
    """

    step: int
    w: Tensor
    buffers: dict[str, Tensor]
    preconditioner: Tensor | None

    def model(self, job: Job) -> nn.Module:
        """The model as it stood then, in ``eval`` mode, on the CPU."""
        model = copy.deepcopy(job.model).cpu().eval()
        put(model, self.w)
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                if name in self.buffers:
                    buffer.copy_(self.buffers[name])
        return model


@dataclass(frozen=True, eq=False)
class Replay:
    """A run, repeated.

    Attributes:
        job: of the run; its model stands at the beginning.
        sights: by step, from the beginning on.
        losses: ``[steps]``, of the mini-batches before each step.
        status: how it ended: as the engine says, or ``paused`` where time was up.
        steps: that were taken.
        seconds: that they took.
        deviation: the largest relative difference from the recorded losses; None where nothing is
            recorded.
    """

    job: Job
    sights: Sequence[Sight]
    losses: NDArray[np.float64]
    status: str
    steps: int
    seconds: float
    deviation: float | None

    @property
    def is_whole(self) -> bool:
        """Whether it came as far as the run did."""
        return self.status != "paused"

    @property
    def is_the_run(self) -> bool:
        """Whether its losses are those of the record."""
        return self.deviation is None or self.deviation <= AS_RECORDED

    def before(self, step: int) -> Sight:
        """The last sight that is not after this step."""
        return max((each for each in self.sights if each.step <= step), key=lambda s: s.step)


class Enough(Exception):  # noqa: N818  (no error: ends the training)
    """All that is to be seen is, or time is up: raised by what watches."""


def replay(case: Case, until: float) -> Replay:
    """Repeat a run, or take its steps for the first time.

    Args:
        case: of it.
        until: when to stop, on the clock of ``gradus.diagnosis.clock``.
    """
    job = case.job()
    recorded = None if case.run is None else case.run.summary
    steps = job.steps if recorded is None else min(job.steps, int(recorded["steps"]))
    first = Sight(0, where(job.model), _buffers(job.model), None)
    stops, seen = _stops(case, steps, first.w), [first]
    looks = {*np.linspace(0, steps, CLOCK + 1).round().astype(int).tolist()[1:], *stops}
    kept = set(stops)
    begun: list[Execution] = []
    ended: list[str] = []

    def see(step: int, w: Tensor) -> None:
        execution = begun[0]
        late = now() > until
        if (step in kept or late) and bool(w.isfinite().all()):
            found = preconditioner(execution)
            seen.append(Sight(step, w, _buffers(execution.model), found))
        if step == steps or late:
            ended.append("finished" if step == steps else "paused")
            raise Enough

    running = replace(job, model=copy.deepcopy(job.model))
    started, outcome = now(), Outcome()
    with torch.random.fork_rng(), suppress(Enough):
        torch.manual_seed(job.seed)
        course = Course(watch=Watch(sorted(looks), see), attach=begun.append)
        outcome = choose.execute(case.engine(running), running, lambda progress: None, course)
        ended.append(outcome.status)
    journal: Any = begun[0].journal if begun else None
    taken = outcome if journal is None else journal.outcome
    losses = np.array([row.loss for row in taken.history], dtype=np.float64)
    if ended[0] == "interrupted":
        raise KeyboardInterrupt
    return Replay(
        *(job, seen, losses, ended[0], taken.step, now() - started),
        _deviation(case, losses),
    )


def where(model: nn.Module) -> Tensor:
    """All parameters of a model that move, ``[d]``: a copy, on the CPU."""
    moving = [p.detach().flatten() for p in model.parameters() if p.requires_grad]
    return torch.cat(moving).cpu().clone()


def put(model: nn.Module, w: Tensor) -> None:
    """Bring a model to w, ``[d]``."""
    moving = [p for p in model.parameters() if p.requires_grad]
    with torch.no_grad():
        for parameter, value in zip(moving, w.split([p.numel() for p in moving]), strict=True):
            parameter.copy_(value.view_as(parameter))


def _buffers(model: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.detach().cpu().clone() for name, buffer in model.named_buffers()}


def _stops(case: Case, steps: int, w: Tensor) -> list[int]:
    """The steps after which the run is looked at, the last one among them."""
    kept = max(3, min(SIGHTS + BEFORE, MEMORY // (2 * w.element_size() * len(w))))
    event = _event(case, steps)
    near = [] if event is None else range(max(1, event - BEFORE), min(event, steps) + 1)
    spaced = np.geomspace(1, max(steps, 1), max(2, kept - len(near))).round().astype(int)
    return sorted({*spaced.tolist(), *near, steps})


def _event(case: Case, steps: int) -> int | None:
    """The step at which, by the record, the loss was lost, or rose most."""
    if case.run is None:
        return None
    divergence = case.run.summary["divergence"]
    if divergence is not None:
        return int(divergence["step"])
    loss = case.run.history["loss"].to_numpy()
    if len(loss) < 3:
        return None
    rise = np.diff(np.log(np.maximum(loss, 1e-12)))
    at = int(case.run.history["step"][int(rise.argmax()) + 1].as_py())
    return at if 1 <= at <= steps else None


def _deviation(case: Case, losses: NDArray[np.float64]) -> float | None:
    if case.run is None or not case.run.history.num_rows:
        return None
    at = case.run.history["step"].to_numpy()
    there = at < len(losses)
    recorded, found = case.run.history["loss"].to_numpy()[there], losses[at[there]]
    finite = np.isfinite(recorded) & np.isfinite(found)
    if not finite.any():
        return None
    scale = np.maximum(np.abs(recorded[finite]), 1e-6)
    return float((np.abs(found[finite] - recorded[finite]) / scale).max())
