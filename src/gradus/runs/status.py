"""Whether a run that took all its steps has learned anything, and beside what that is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gradus.engine.evaluate import evaluate
from gradus.engine.job import Job, Judged, Outcome, Part
from gradus.methods.proximal import Proximal
from gradus.metrics import best_constant


@dataclass(frozen=True)
class LineToBeat:
    """What a run has to be better than.

    Attributes:
        beginning: the loss over the training part before the first step.
        constant: what the best constant prediction reaches, by part; empty where the loss is none
            whose best constant is known.
    """

    beginning: float
    constant: dict[Part, Judged]

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
        the best constant prediction and that of its own beginning. A run that climbs has no line
        to beat, and neither has one whose targets are all the same.
        """
        method = job.method.method if isinstance(job.method, Proximal) else job.method
        if outcome.status != "finished" or getattr(method, "maximize", False):
            return None
        kept = next((row for row in outcome.evaluation if row.epoch == outcome.kept_epoch), None)
        if kept is None:
            return None
        kept = outcome.averaged or kept
        constant = self.constant["train"].loss if self.constant else None
        if constant == 0 or (
            kept.train_loss < self.beginning and (constant is None or kept.train_loss < constant)
        ):
            return None
        return {
            "train_loss": kept.train_loss,
            "constant_train_loss": constant,
            "train_loss_at_the_beginning": self.beginning,
        }


def line_to_beat(job: Job) -> LineToBeat:
    """What the job has to be better than; its model stands at the beginning, on the CPU."""
    train = job.train.to(dtype=job.dtype)
    sample = train.fixed_sample
    model = job.model.to(device=job.device)
    beginning = evaluate(model, job.placed_loss, sample.to(device=job.device)).loss
    model.cpu()  # engines bring it to the device again; many jobs may wait for theirs
    constant = best_constant(train, job.loss)
    if constant is None:
        return LineToBeat(beginning, {})
    parts: dict[Part, Judged] = {"train": constant.judge(sample)}
    if job.validation is not None:
        parts["validation"] = constant.judge(job.validation.to(dtype=job.dtype))
    parts["test"] = constant.judge(job.test.to(dtype=job.dtype))
    return LineToBeat(beginning, parts)
