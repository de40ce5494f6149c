"""Where a number first is not finite: in which module, forwards or backwards, and in which step."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gradus.data.dataset import Dataset
from gradus.diagnosis.replay import Replay, Sight
from gradus.engine.job import Job

FORWARDS, BACKWARDS = "output", "gradient"


@dataclass(frozen=True)
class Origin:
    """The first number that is not finite.

    Attributes:
        step: in which step.
        where: the module, or ``the loss``.
        what: its output, or the gradient that it passes on.
        overflow: whether it is finite in float64.
    """

    step: int
    where: str
    what: str
    overflow: bool

    def __str__(self) -> str:
        why = (
            "too large or too small for float32"
            if self.overflow
            else "in float64 as well, as log 0 and 0/0 are"
        )
        return f"the {self.what} of {self.where} at step {self.step}: {why}"


def origin_of(replay: Replay) -> Origin | None:
    """Where the loss of a run that diverged was lost; None where that is not seen."""
    finite = replay.sights[-1]
    batch = _batch(replay.job, finite.step)
    if batch is None:
        return None
    found = _first(replay.job, finite, batch, torch.float32)
    if found is None:
        return None
    doubled = _first(replay.job, finite, batch, torch.float64)
    return Origin(finite.step, *found, overflow=doubled is None)


def _batch(job: Job, step: int) -> Dataset | None:
    """The examples of a step."""
    epoch, index = divmod(step, job.sampling.steps)
    if epoch >= job.epochs:
        return None
    indices = next(itertools.islice(job.sampling.epoch(epoch), index, None))
    return job.train.subset(
        indices.to(job.train.x.device) if isinstance(indices, Tensor) else indices
    )


def _first(job: Job, sight: Sight, data: Dataset, dtype: torch.dtype) -> tuple[str, str] | None:
    """The module and whether it was forwards or backwards; None where all is finite."""
    model = sight.model(job).to(dtype)
    lost: list[tuple[str, str]] = []
    for name, module in model.named_modules():
        if not list(module.children()):
            _watch(name or type(module).__name__, module, lost)
    x, y = data.to(device="cpu", dtype=dtype).batch()
    if x.is_floating_point():
        x = x.requires_grad_()
    try:
        loss: Tensor = job.loss.cpu().to(dtype)(model(x), y)
        if not lost and not bool(loss.isfinite()):
            return "the loss", FORWARDS
        if not lost:
            loss.backward()
    except RuntimeError:  # a model that takes no other dtype
        return None
    finally:
        job.loss.to(job.dtype)
    return lost[0] if lost else None


def _watch(name: str, module: nn.Module, lost: list[tuple[str, str]]) -> None:
    told = f"module {name} ({type(module).__name__})"

    def forwards(_: Any, __: Any, given: Any) -> None:
        if isinstance(given, Tensor) and not bool(given.isfinite().all()):
            lost.append((told, FORWARDS))

    def backwards(_: Any, passed: tuple[Any, ...], __: Any) -> None:
        if any(isinstance(g, Tensor) and not bool(g.isfinite().all()) for g in passed):
            lost.append((told, BACKWARDS))

    module.register_forward_hook(forwards)
    module.register_full_backward_hook(backwards)
