"""What is known of a run: the record, the replay, and what is measured on them when asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gradus.data.dataset import Dataset
from gradus.diagnosis.case import Case
from gradus.diagnosis.clock import now
from gradus.diagnosis.findings import Figure
from gradus.diagnosis.forest import Unseen, unseen
from gradus.diagnosis.fork import WORST, WORST_EXAMPLE, Trial
from gradus.diagnosis.layers import Activation, Layer, activations_of, layers_of
from gradus.diagnosis.replay import Replay, Sight
from gradus.diagnosis.sharpness import sharpness
from gradus.engine.evaluate import evaluate, outputs_of, test
from gradus.engine.job import Job
from gradus.methods.schedules import learning_rate
from gradus.methods.stability import Limit, stability_limit
from gradus.risk.noise import noise_scale

EXAMPLES = 500
"""Of the sample, for what takes a gradient."""


@dataclass(eq=False)
class Evidence:
    """What the tests of causes look at.

    Attributes:
        case: of the run.
        replay: of it.
        allowed: seconds that measuring the curvature may take in all.
    """

    case: Case
    replay: Replay

    allowed: float = math.inf

    def __post_init__(self) -> None:
        self._sharpness: dict[int, float | None] = {}
        self._losses: dict[int, float] = {}
        self._layers: dict[int, tuple[Layer, ...]] = {}
        self._activations: dict[int, tuple[Activation, ...]] = {}

    def of_mended(self, case: Case, replay: Replay, allowed: float) -> Evidence:
        """That of the run with a cause undone; what its data say is known already."""
        found = Evidence(case, replay, allowed)
        if "unseen" in self.__dict__:
            found.__dict__["unseen"] = self.unseen
        return found

    @property
    def job(self) -> Job:
        """Of the run, before its first step; its model stands at the beginning."""
        return self.replay.job

    @property
    def status(self) -> str:
        """How the run ended, as its record says; else how the replay did."""
        if self.case.run is not None:
            return self.case.run.status
        return "finished" if self.replay.status == "paused" else self.replay.status

    @property
    def sights(self) -> Sequence[Sight]:
        """Where the run stood, by step, the beginning first."""
        return self.replay.sights

    @property
    def losses(self) -> NDArray[np.float64]:
        """Of the mini-batches, step by step."""
        return self.replay.losses

    @cached_property
    def sample(self) -> Dataset:
        """Training examples on which points are compared."""
        return self.case.sample(self.job.train, self.job.dtype).to(device="cpu")

    @cached_property
    def line(self) -> float:
        """The loss of the best constant prediction; where none is known, that at the beginning."""
        beginning = self.loss_at(self.sights[0])
        found = self.case.line(self.job)
        if found is not None:
            return found
        return abs(beginning) if math.isfinite(beginning) and beginning else 1.0

    def layers_at(self, sight: Sight) -> tuple[Layer, ...]:
        """What layers with weights gave where the run stood, over a part of the sample."""
        if sight.step not in self._layers:
            data = self.sample.subset(slice(0, EXAMPLES))
            self._layers[sight.step] = layers_of(sight.model(self.job), self.job, data)
        return self._layers[sight.step]

    def activations_at(self, sight: Sight) -> tuple[Activation, ...]:
        """What activations gave where the run stood, over the sample."""
        if sight.step not in self._activations:
            self._activations[sight.step] = activations_of(sight.model(self.job), self.sample)
        return self._activations[sight.step]

    def loss_at(self, sight: Sight) -> float:
        """The mean training loss where the run stood, over the sample."""
        if sight.step not in self._losses:
            loss = self.job.loss.cpu()
            self._losses[sight.step] = evaluate(sight.model(self.job), loss, self.sample).loss
        return self._losses[sight.step]

    def share_at(self, sight: Sight) -> float:
        """The same in losses of the best constant prediction, at most ``WORST``."""
        share = self.loss_at(sight) / self.line
        return min(share, WORST) if math.isfinite(share) else WORST

    @cached_property
    def end(self) -> float:
        """Where the run ended, in losses of the best constant prediction, at most ``WORST``."""
        if self.replay.status == "diverged":
            return WORST
        final = None if self.case.run is None else self.case.run.summary["final"]
        if not self.replay.is_whole and final is not None:
            share = float(final["train_loss"]) / self.line
            return min(share, WORST) if math.isfinite(share) else WORST
        return self.share_at(self.sights[-1])

    @cached_property
    def as_trial(self) -> Trial:
        """The run itself, as a trial of all its steps."""
        job, sight = self.job, self.sights[-1]
        if self.replay.is_whole and self.end < WORST:
            found = test(outputs_of(sight.model(job)), job.loss.cpu(), self.sample)
            each = (found.losses / found.masses.mean() / self.line).numpy()
        else:
            each = np.full(len(self.sample), self.end)
        whole = self.held is not None and self.replay.is_whole
        held = self.held_at(sight) if whole else None
        return Trial(self.status, self.replay.steps, each, held, None)

    @cached_property
    def unseen(self) -> Unseen | None:
        """What a forest says of training examples that it has not seen."""
        return unseen(self.case.parts.train)

    @cached_property
    def held(self) -> Dataset | None:
        """Examples that the run held, on which points are compared."""
        if self.case.split.validation is None:
            return None
        return self.case.sample(self.job.test, self.job.dtype).to(device="cpu")

    def held_at(self, sight: Sight) -> NDArray[np.float64]:
        """What each held example adds to their mean loss where the run stood, ``[n]``.

        In losses of the best constant prediction, at most ``WORST_EXAMPLE`` each.
        """
        assert self.held is not None
        found = test(outputs_of(sight.model(self.job)), self.job.loss.cpu(), self.held)
        shares: NDArray[np.float64] = (found.losses / found.masses.mean() / self.line).numpy()
        return np.clip(np.nan_to_num(shares, nan=WORST_EXAMPLE), -WORST_EXAMPLE, WORST_EXAMPLE)

    @cached_property
    def reached(self) -> float:
        """The worse of the training loss and that of held examples where the run ended."""
        if self.held is None or self.end >= WORST or not self.replay.is_whole:
            return self.end
        return max(self.end, min(float(self.held_at(self.sights[-1]).mean()), WORST))

    @cached_property
    def limit(self) -> Limit | None:
        """What the learning rate times the sharpness has to stay below."""
        return stability_limit(self.job.method)

    def lr_at(self, step: int) -> float:
        """The learning rate of a step."""
        return float(learning_rate(self.job.method.lr, step))

    def sharpness_at(self, sight: Sight) -> float | None:
        """The largest eigenvalue of the Hessian, preconditioned where the method is adaptive."""
        limit = self.limit
        if limit is None or (limit.preconditioned and sight.preconditioner is None):
            return None
        if sight.step not in self._sharpness:
            if self.allowed < 0:
                return None
            started = now()
            found = sharpness(self.job, sight)
            decay = getattr(self.job.method, "weight_decay", 0.0)
            if found is not None and not limit.preconditioned:
                found += float(decay)  # the decay bends what is descended, and is no part of f
            self._sharpness[sight.step] = found
            self.allowed -= now() - started
        return self._sharpness[sight.step]

    def stability_at(self, sight: Sight) -> Figure | None:
        """The learning rate times the sharpness, beside its limit."""
        found = self.sharpness_at(sight)
        if found is None or self.limit is None:
            return None
        name = "lr · λ_max(P⁻¹H)" if self.limit.preconditioned else "lr · λ_max"
        limit = f"{self.limit.method} needs less than {self.limit.value:.3g}"
        return Figure(name, self.lr_at(sight.step) * found, limit, sight.step)

    @cached_property
    def noise(self) -> float | None:
        """The noise scale of the gradient, in examples, over the middle and the end of the run."""
        sights = [self.sights[len(self.sights) // 2], self.sights[-1]]
        models = [sight.model(self.job) for sight in sights]
        return noise_scale(models, self.job.loss.cpu(), self.sample, len(self.job.train))

    @cached_property
    def rise(self) -> float:
        """By which factor the smoothed loss of the mini-batches ends above its least."""
        finite = self.losses[np.isfinite(self.losses)]
        if len(finite) < 2:
            return 1.0
        width = max(1, len(finite) // 20)
        kernel = np.ones(width) / width
        smooth = np.convolve(finite, kernel, mode="valid")
        return float(smooth[-1] / max(smooth.min(), 1e-12))
