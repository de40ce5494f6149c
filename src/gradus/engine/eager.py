"""The engine that runs any module on any device."""

from __future__ import annotations

import itertools
import math
import time
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradus.data.dataset import Dataset
from gradus.engine import evaluate, parallel
from gradus.engine.bfloat16 import InBfloat16
from gradus.engine.compiled import Compiled
from gradus.engine.dropping import dropping
from gradus.engine.execution import Execution, InOnePiece
from gradus.engine.iteration import KEPT_AS, Iteration, iteration_of
from gradus.engine.job import Job, Judged, Outcome, Part, Report, Tested
from gradus.engine.moving_average import MovingAverage
from gradus.engine.optimizer_iteration import OptimizerIteration
from gradus.engine.recorded_risk import RecordedRisk
from gradus.engine.snapshot import WHOLE_RUN, Course, Snapshot
from gradus.errors import NotPositiveDefiniteError
from gradus.optim.as_method import OptimizerMethod
from gradus.risk.empirical import EmpiricalRisk
from gradus.risk.examples import Batch, size_of
from gradus.risk.tensors import Tensors


def execute(
    job: Job, report: Report = lambda progress: None, course: Course = WHOLE_RUN
) -> Outcome:
    """Take the steps of a job, leaving the parameters where they end in its model.

    The course says which part of the run is executed; the parts of a run leave together what it
    leaves in one piece, to the bit.

    The record does not depend on the speed of the machine: on a CPU every loss is looked at before
    its step is accepted; elsewhere, where looking means waiting for the device, at every logged
    row and at the end of the epoch.

    Several processes may take the steps of one run together, see :mod:`gradus.engine.parallel`.

    A run ends early as ``diverged`` at the first loss that is not finite, as ``stopped`` where the
    method cannot take its next step, and as ``interrupted`` on KeyboardInterrupt; what it has
    recorded until then is kept.

    Raises:
        NotPositiveDefiniteError: the method cannot even take its first step.
    """
    return _Execution(job, report, course).run()


class _Execution(Execution):
    """One run under way."""

    engine = "eager"

    def __init__(self, job: Job, report: Report, course: Course = WHOLE_RUN) -> None:
        super().__init__(job, report, course)
        self.model = job.model.to(device=job.device, dtype=job.dtype)
        train = job.train.to(device=job.device, dtype=job.dtype)
        self.parts: dict[Part, Dataset] = {}
        if job.measured:
            self.parts |= {
                "train": train.fixed_sample,
                "test": job.test.to(device=job.device, dtype=job.dtype),
            }
        if job.validation is not None:
            self.parts["validation"] = job.validation.to(device=job.device, dtype=job.dtype)
        self.outputs = evaluate.outputs_of(self.model)
        self.together, self.apart, self.rank = job.together, False, 0
        evaluated_by = self.together
        if self.together is not None:
            self.apart, self.rank = job.average_every > 1, self.together.rank
            self.outputs = parallel.sharing(self.outputs, self.together)
            evaluated_by = parallel.Apart(self.together) if self.apart else self.together
        self.loss = job.placed_loss
        trained: nn.Module = self.model
        if job.precision == "bf16":
            trained = InBfloat16(trained, job.device.type)
        if job.compiled:
            trained = Compiled(trained)
        risk = partial(
            EmpiricalRisk,
            *(trained, self.loss, train, job.penalty),
            chunk_size=job.chunk_size,
            together=evaluated_by,
        )
        self.risk, self.resting = risk(update_buffers=True), risk()
        self.oracle = RecordedRisk(
            self.risk,
            self.resting,
            repeats=job.method.repeats,
            clip=job.clip,
            # What is compiled draws by itself.
            dropping=None if job.compiled else dropping(self.model, job.seed),
        )
        self.looks_at_every_step = job.device.type == "cpu" and not self.apart
        self.iteration: Iteration
        if isinstance(job.method, OptimizerMethod):
            self.iteration = OptimizerIteration(job.method, self.oracle, self.risk.parameters)
            self.journal.rate = self.iteration.rate
        else:
            self.iteration = iteration_of(job.method, self.oracle, self.risk.parameters)
        self.average = None if job.ema is None else MovingAverage(job.ema)
        if course.since is not None:
            self._go_on(course.since)
        if course.attach is not None:
            course.attach(self)

    def train(self) -> float | None:
        """The rest of a pass: the mean of its losses, or None where it ended early."""
        job, journal, started = self.job, self.journal, time.perf_counter()
        outcome, epoch, looked_at = journal.outcome, self.now.epoch, self.now.losses
        begun = len(looked_at)
        sizes = job.sampling.sizes[:begun].tolist()
        if not begun:
            self._seed(epoch)
        self.model.train()
        seen: list[Tensor] = []
        batches = itertools.islice(job.sampling.epoch(epoch - 1, device=job.device), begun, None)
        try:
            with self.iteration.under_way(), InOnePiece().standing() as in_one_piece:
                for index, batch in enumerate(batches, start=begun):
                    size = size_of(batch, len(self.risk.data))
                    sizes.append(size)
                    self.oracle.first.point, self.oracle.first.step = None, outcome.step
                    self.oracle.work.examples = 0
                    try:
                        self.iteration.evaluate(batch)
                    except NotPositiveDefiniteError as error:
                        if outcome.step == 0:
                            raise
                        outcome.status, outcome.stopped = "stopped", str(error)
                        return None
                    seen.append(self.oracle.first.loss)
                    logged, is_last = index % job.log_every == 0, index + 1 == job.sampling.steps
                    meets = self.apart and ((index + 1) % job.average_every == 0 or is_last)
                    if logged or self.looks_at_every_step or meets or is_last:
                        first = outcome.step + 1 - len(seen)
                        values = self._values_of(seen, sizes)
                        seen.clear()
                        for step, value in enumerate(values, start=first):
                            if not math.isfinite(value):
                                journal.diverged(step, epoch, value)
                                return None
                            journal.last_loss = value
                        looked_at += values
                    work = self.oracle.work.examples
                    if logged:
                        loss = self._loss_at_iterate(batch, size, values[-1])
                        journal.log(epoch, outcome.samples + size, loss, outcome.work + work)
                    with in_one_piece:
                        self.iteration.update(outcome.step)
                        if self.average is not None:
                            self.average.update(self.iteration.w)
                        if meets:
                            assert self.together is not None
                            parallel.meet(self.iteration, self.average, self.together)
                        journal.stepped(1, size, self.oracle.work.examples)
                    if self.course.stepped is not None:
                        self.course.stepped()
                    journal.tell(epoch)
                    self.show()
                    if logged:
                        journal.observed(epoch)
                        if outcome.ended_by_observer:
                            break
                    if not (seen or is_last) and (meets or not self.apart):
                        self.keeper.offer(lambda: self.snapshot(time.perf_counter() - started))
        finally:
            outcome.train_seconds += time.perf_counter() - started
        if self.together is not None:
            if self.apart and outcome.ended_by_observer:
                parallel.meet(self.iteration, self.average, self.together)
            parallel.take_buffers_of_first(self.model, self.together)
        return float(np.average(looked_at, weights=sizes[: len(looked_at)]))

    def settle(self) -> None:
        """Bring the model to where the run stands, or to the average of where it was."""
        self.risk.assign(self._evaluated())

    def _evaluated(self) -> Tensors:
        average = None if self.average is None else self.average.w
        return self.iteration.w if average is None else average

    def take_over(self) -> None:
        """The model is what is evaluated."""

    def judge(self, part: Part) -> Judged:
        """The loss and the accuracy on a part of the data."""
        how = self.job.selection.score_on(part), self.job.metrics_on(part)
        return evaluate.judge(self.outputs, self.loss, self.parts[part], *how)

    def test(self) -> Tested:
        """The same on the test part, with the losses of its examples."""
        return evaluate.test(self.outputs, self.loss, self.parts["test"], self.job.metrics)

    def point(self) -> Tensor:
        """The iterate."""
        return _flat(self.iteration.w)

    def evaluated_point(self) -> Tensor:
        """The average, where there is one, else the iterate."""
        return _flat(self._evaluated())

    def put_aside(self, tensors: dict[str, Tensor]) -> dict[str, Any]:
        """The iteration, running statistics, and what the next random number depends on."""
        for name, buffer in self.model.named_buffers():
            plain = buffer.detach().cpu().clone(memory_format=torch.contiguous_format)
            tensors[f"buffer.{name}"] = plain
        tensors["random"] = torch.get_rng_state()
        if self.job.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.job.device)
        if self.average is not None:
            self.average.put_aside(tensors)
        return {KEPT_AS: self.iteration.serialized(tensors)}

    def _go_on(self, since: Snapshot) -> None:
        tensors = since.tensors
        self.iteration.restore(since.facts[KEPT_AS], tensors)
        if self.average is not None:
            self.average.restore(tensors, self.iteration.w)
        with torch.no_grad():
            for name, buffer in self.model.named_buffers():
                buffer.copy_(tensors[f"buffer.{name}"])
        if self.job.draws:
            torch.set_rng_state(tensors["random"])
            if self.job.device.type == "cuda":
                torch.cuda.set_rng_state(tensors["random.cuda"], self.job.device)
        if self.rank > 0:  # what is kept is of process 0
            self._seed(since.epoch, since.index)

    def _values_of(self, seen: list[Tensor], sizes: list[int]) -> list[float]:
        """The losses of the latest steps, which are waited for."""
        if self.apart:
            assert self.together is not None
            return parallel.losses_of_all(
                torch.stack(seen), sizes[-len(seen) :], self.together
            ).tolist()
        return torch.stack(seen).tolist() if len(seen) > 1 else [seen[0].item()]

    def _loss_at_iterate(self, batch: Batch, size: int, seen: float) -> float:
        """The mean loss of the batch at w_t; the method has seen this one, perhaps elsewhere."""
        if self.oracle.first.point is self.iteration.w:
            return seen
        # Logging draws nothing that training would draw.
        with torch.random.fork_rng(enabled=self.job.draws), self.oracle.drawing(batch):
            loss = self.resting.mean_loss(self.iteration.w, batch)
        return self._values_of([loss], [size])[-1]

    def _seed(self, *place: int) -> None:
        """Seed what is random within an epoch, so that a run can start at any of them.

        Processes draw apart: their examples are others.
        """
        if not self.job.draws:
            return
        key = (1, *place) if self.rank == 0 else (1, *place, self.rank)
        drawn = np.random.SeedSequence(self.job.seed, spawn_key=key).generate_state(1, np.uint64)
        torch.manual_seed(int(drawn[0]))


def _flat(w: Tensors) -> Tensor:
    return torch.cat([value.detach().flatten() for value in w.values]).cpu()
