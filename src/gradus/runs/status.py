"""Whether a run that took all its steps has learned anything, and beside what that is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from gradus.engine.evaluate import evaluate
from gradus.engine.job import Job, Judged, Outcome, Part
from gradus.methods.wrapper import within
from gradus.metrics import best_constant


@dataclass(frozen=True)
class LineToBeat:
    """What a run has to be better than.

    Attributes:
        beginning: the loss over the training part before the first step; of several nets, that of
            their average.
        constant: what the best constant prediction reaches, by part; empty where the loss is none
            whose best constant is known.
        continued: whether the run goes on from the parameters of another.
    """

    beginning: float
    constant: dict[Part, Judged]
    continued: bool = False

    @property
    def figures(self) -> dict[str, float | None] | None:
        """What stands in the record: the loss and the accuracy by part."""
        return {
            f"{part}_{name}": value
            for part, judged in self.constant.items()
            for name, value in (("loss", judged.loss), ("accuracy", judged.accuracy))
        } or None

    def failure(self, job: Job, outcome: Outcome) -> dict[str, Any] | None:
        """Why a run has learned nothing; None where it has.

        Its loss over the training part, with the parameters that are kept, is held against that of
        the best constant prediction and that of its own beginning. A run that goes on from another
        may begin where little is left to learn: it is held against the constant alone, where that
        is known. A run that climbs has no line to beat, and neither has one whose targets are all
        the same.
        """
        method = within(job.method)
        if outcome.status != "finished" or getattr(method, "maximize", False):
            return None
        kept = next((row for row in outcome.evaluation if row.epoch == outcome.kept_epoch), None)
        if kept is None:
            return None
        kept = outcome.averaged or kept
        constant = self.constant["train"].loss if self.constant else None
        beats_constant = constant is None or kept.train_loss < constant
        beats_beginning = kept.train_loss < self.beginning or (
            self.continued and constant is not None
        )
        if constant == 0 or (beats_constant and beats_beginning):
            return None
        return {
            "train_loss": kept.train_loss,
            "constant_train_loss": constant,
            "train_loss_at_the_beginning": self.beginning,
        }


def line_to_beat(job: Job, *, continued: bool = False) -> LineToBeat:
    """What the job has to be better than; its model stands at the beginning, on the CPU."""
    beginning = training_loss(job, job.model)
    constant = best_constant(job.train.to(dtype=job.dtype), job.loss)
    if constant is None:
        return LineToBeat(beginning, {}, continued)
    sample = job.train.fixed_sample.to(dtype=job.dtype)
    parts: dict[Part, Judged] = {"train": constant.judge(sample)}
    if job.validation is not None:
        parts["validation"] = constant.judge(job.validation.to(dtype=job.dtype))
    parts["test"] = constant.judge(job.test.to(dtype=job.dtype))
    return LineToBeat(beginning, parts, continued)


def training_loss(job: Job, model: nn.Module) -> float:
    """The loss of a model over the training part of a job, which the line to beat is said in."""
    sample = job.train.fixed_sample.to(device=job.device, dtype=job.dtype)
    loss = evaluate(model.to(device=job.device), job.placed_loss, sample).loss
    model.cpu()  # engines bring it to the device again; many jobs may wait for theirs
    return loss
