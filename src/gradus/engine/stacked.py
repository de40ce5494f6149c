"""The engine that runs many dense networks at once: K runs of one shape in one block [K, d].

Runs whose networks, losses, penalties and methods have the same structure move together, by the
method's own equation on [K, d] with hyper-parameters [K, 1]. Each sees the mini-batches that it
would see alone. Runs of different batch sizes are on one clock, which counts samples: a run of
batch size 16 takes 16 steps while one of 256 takes one.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Collection, Hashable, Sequence
from dataclasses import replace
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradus import methods
from gradus.data.dataset import Dataset
from gradus.data.streaming.order import StreamOrder
from gradus.engine import dense, words
from gradus.engine.columns import is_scheduled, stacked_value, structure
from gradus.engine.execution import grad_mode_restored
from gradus.engine.job import Job, Judged, Observe, Outcome, Part, Report
from gradus.engine.journal import Journal
from gradus.engine.stacked_risk import Examples, StackedNetwork, StackedRisk
from gradus.engine.stacked_step import Place, Replay, replays, stepped
from gradus.methods.layout import Layout, begun

METHODS = (*words.METHODS, methods.LARS, methods.LAMB, methods.Muon)
"""What derives from these may look across the rows of [K, d], and is left to the eager engine."""

FIRST_STEPS = 3
"""Steps taken one by one before one is captured: libraries and states are then set up."""

VECTORS = 11
"""How many vectors [d] a run needs, with its best epoch and what an update makes on its way."""


def obstacle(jobs: Sequence[Job]) -> str | None:
    """Why this engine does not run the jobs, as one sentence; None where it does.

    Jobs may differ in all that they are made of: those that cannot share a block have another on
    the same clock (see ``blocks``).
    """
    models: set[int] = set()
    try:
        for job in jobs:
            if id(job.model) in models:
                raise dense.Obstacle("two jobs that share a model")
            models.add(id(job.model))
            if job.train.is_sparse:
                raise dense.Obstacle("inputs that are sparse")
            if job.compiled:
                raise dense.Obstacle("models that PyTorch compiles")
            if job.together is not None:
                raise dense.Obstacle("runs of several processes")
            if job.ema is not None:
                raise dense.Obstacle("parameters that are averaged over the steps")
            if job.precision == "bf16":
                raise dense.Obstacle("products in bfloat16")
            if job.metrics:
                raise dense.Obstacle("metrics beside the measure")
            _kind(job)
    except dense.Obstacle as found:
        return f"the stacked engine does not run {found}"
    return None


def blocks(jobs: Sequence[Job]) -> list[list[int]]:
    """Which jobs, by their positions, take every step together.

    Raises:
        Obstacle: the engine does not run them; ask ``obstacle`` first.
    """
    found: dict[Hashable, list[int]] = {}
    for position, job in enumerate(jobs):
        found.setdefault(_kind(job), []).append(position)
    for block in found.values():
        # Neighbours that share their data are cut from it at once.
        block.sort(key=lambda position: (id(jobs[position].train), id(jobs[position].test)))
    return list(found.values())


def memory(jobs: Sequence[Job]) -> int:
    """About how many bytes the jobs need on their device, all at once, beside their data."""
    return sum(
        VECTORS * job.dtype.itemsize * sum(each.numel() for each in job.model.parameters())
        + torch.int64.itemsize * job.sampling.samples_before(job.sampling.steps)
        for job in jobs
    )


@grad_mode_restored()
def execute(
    jobs: Sequence[Job],
    reports: Sequence[Report] | None = None,
    observers: Sequence[Observe | None] | None = None,
    *,
    graphs: bool = True,
) -> list[Outcome]:
    """Take the steps of all jobs, leaving the parameters where they end in their models.

    The record of each is that of the eager engine run alone, but for rounding. Losses are looked
    at, and reported, at logged rows and at the end of an epoch; a run whose loss was not finite
    has not moved since, and leaves its block. Models stay on the device on which they are. The
    seconds of a step are shared equally by those that take it.

    A run ends early as ``diverged`` at the first loss that is not finite, before its step; on
    KeyboardInterrupt all that are under way end as ``interrupted``. What was recorded until then
    is kept.

    Args:
        jobs: what is run.
        reports: told how each job goes.
        observers: called after every row and every evaluation of each; may end it.
        graphs: on a GPU, capture steps as CUDA graphs.

    Raises:
        Obstacle: the engine does not run them; ask ``obstacle`` first.
    """
    told = [lambda progress: None] * len(jobs) if reports is None else reports
    observing = [None] * len(jobs) if observers is None else observers
    journals = [
        Journal(job, report, observe=observe)
        for job, report, observe in zip(jobs, told, observing, strict=True)
    ]
    moved: dict[Hashable, Dataset] = {}
    stacks = [_Stack([journals[i] for i in block], moved, graphs) for block in blocks(jobs)]
    try:
        while stacks:
            stack = min(stacks, key=lambda each: each.samples)
            stack.step()
            if not stack.runs:
                stacks.remove(stack)
    except KeyboardInterrupt:
        for stack in stacks:
            stack.interrupt()
    return [journal.outcome for journal in journals]


def _kind(job: Job) -> Hashable:
    """What jobs of one block have in common."""
    network = dense.check_risk(job)
    if isinstance(job.sampling, StreamOrder):
        raise dense.Obstacle("rows that are streamed")
    if not network.is_plain:
        others = [layer.told for layer in network.layers if layer.kind != "dense"]
        raise dense.Obstacle(others[0])
    if not network.is_in_order_of(job.model):
        raise dense.Obstacle("parameters in another order than their layers")
    inner = job.method.method if isinstance(job.method, methods.Proximal) else job.method
    for method in (job.method, inner):
        if type(method) not in METHODS:
            raise dense.Obstacle(f"the method {type(method).__name__}")
    words.penalty_of(job.penalty, job.method)
    sampling = job.sampling
    return (
        (tuple(network.widths), network.activations, network.log_softmax),
        tuple(linear.bias is not None for linear in network.linears),
        tuple(parameter.requires_grad for parameter in job.model.parameters()),
        dense.loss_of(job.loss, job.train, network.widths[-1]),
        structure(job.penalty),
        structure(job.method),
        structure(job.clip),
        tuple(
            each is not None and each.weights is not None
            for each in (job.train, job.test, job.validation)
        ),
        (_size(job), sampling.steps, sampling.samples_before(sampling.steps)),
        (len(job.test), job.train.classes is None, job.test.classes is None),
        (job.train.y.dtype, job.test.y.dtype),
        (None if job.validation is None else len(job.validation), job.tests_every_epoch),
        (job.device, job.dtype),
    )


def _size(job: Job) -> int:
    return job.sampling.n if job.sampling.name == "full" else job.sampling.batch_size


@final
class _Stack:
    """Runs that take every step together."""

    def __init__(
        self, runs: list[Journal[Job]], moved: dict[Hashable, Dataset], graphs: bool
    ) -> None:
        self.runs = runs
        first = runs[0].job
        self.device, self.dtype, self.size = first.device, first.dtype, _size(first)
        self.steps = first.sampling.steps
        self.moved = moved
        self.net = dense.network_of(first.model)
        self.loss = copy.deepcopy(first.loss).to(device=self.device, dtype=self.dtype)
        self.looks_ahead = next(words.aheads_of(first.method), None) is not None
        self.replays = graphs and replays(self.device)
        self.replay: Replay | None = None
        self.samples = 0
        self.epoch, self.index = 1, 0
        self.taken = self.looked_at = 0
        """Steps, and those whose losses have been looked at."""
        self.window: list[Tensor] = []
        """The losses of the steps that have not been."""
        self.seen: list[NDArray[np.float64]] = []
        """The losses of the epoch that have been."""
        self.order = torch.empty(0)
        self.rates_of_epoch: Tensor | None = None
        for run in runs:
            run.job.model.to(dtype=self.dtype).train()
        self._arrange()
        w = self.network.rows()
        alive = torch.ones(len(runs), 1, dtype=torch.bool, device=self.device)
        state = begun(self.method, w, Layout.of_model(first.model))
        self.at = Place(w, state, alive)
        self.best = w.clone() if any(job.selection.keep == "best" for job in self.jobs) else None
        """The parameters of the best epoch of each run so far, ``[K, d]``."""

    @property
    def jobs(self) -> list[Job]:
        """What is run."""
        return [run.job for run in self.runs]

    def _arrange(self) -> None:
        """Bring together what belongs to the runs that are left."""
        jobs = self.jobs
        self.rates: Tensor | None = None
        if any(is_scheduled(job.method) for job in jobs):
            self.rates = torch.empty(len(jobs), 1, dtype=self.dtype, device=self.device)
        self.method: Any = stacked_value([job.method for job in jobs], self._column, self.rates)
        penalty = stacked_value([job.penalty for job in jobs], self._column, None)
        clip = stacked_value([job.clip for job in jobs], self._column, None)
        self.network = self._networks(self.runs)
        data = Examples([self._placed(job.train) for job in jobs])
        self.parts: dict[Part, Examples] = {
            "train": Examples([self._placed(job.train).fixed_sample for job in jobs]),
            "test": Examples([self._placed(job.test) for job in jobs]),
        }
        held = [self._placed(job.validation) for job in jobs if job.validation is not None]
        if held:
            self.parts["validation"] = Examples(held)
        self.risk = StackedRisk(self.network, self.loss, data, penalty, clip)
        self.replay, self.first_steps = None, FIRST_STEPS

    def _networks(self, runs: Sequence[Journal[Job]]) -> StackedNetwork:
        models = [run.job.model for run in runs]
        return StackedNetwork(self.net, models, self.device, self.dtype)

    def _column(self, numbers: Sequence[float]) -> Tensor:
        return torch.tensor(numbers, dtype=self.dtype, device=self.device)[:, None]

    def _placed(self, data: Dataset) -> Dataset:
        """The data on the device of the runs, there once for all that use them."""
        key = id(data), self.device, self.dtype
        if key not in self.moved:
            self.moved[key] = data.to(device=self.device, dtype=self.dtype)
        return self.moved[key]

    def step(self) -> None:
        """Take one step with every run."""
        started, runs = time.perf_counter(), list(self.runs)
        if self.index == 0:
            self._begin()
        at, index = self.index * self.size, self.index
        batch = self.order[:, at : at + self.size]
        is_last = index + 1 == self.steps
        logs = [index % run.job.log_every == 0 for run in runs]
        at_iterate = None
        if any(logs) and self.looks_ahead:
            at_iterate = self.risk.mean_losses(self.at.w, batch)
        self._take(batch)
        self.index, self.samples = index + 1, self.samples + batch.shape[1]
        if any(logs) or is_last:
            self._look(logs, at_iterate)
            self._observe(runs, logs)
        seconds = (time.perf_counter() - started) / len(runs)
        for run in runs:
            run.outcome.train_seconds += seconds
        if is_last and self.runs:
            self._end()

    def _observe(self, runs: Sequence[Journal[Job]], logs: Sequence[bool]) -> None:
        """Show rows to who may end their runs; those that end are evaluated, and leave."""
        for run, logged in zip(runs, logs, strict=True):
            if logged and not run.outcome.divergence:
                run.observed(self.epoch)
        ending = [k for k, run in enumerate(self.runs) if run.outcome.ended_by_observer]
        if ending and self.index < self.steps:
            self._evaluate(ending)
            self._leave(ending)

    def _begin(self) -> None:
        """Lay out the order of an epoch, and its learning rates."""
        samplings = [run.job.sampling for run in self.runs]
        orders = {each: each.order(self.epoch - 1) for each in samplings}
        rows = list(orders.values()) if len(orders) == 1 else [orders[each] for each in samplings]
        self.order = torch.stack(rows).to(self.device)
        if self.rates is not None:
            steps = range(self.taken, self.taken + self.steps)
            rates = [[run.lr(step) for run in self.runs] for step in steps]
            self.rates_of_epoch = torch.tensor(rates, dtype=self.dtype, device=self.device)

    def _take(self, batch: Tensor) -> None:
        if self.rates is not None and self.rates_of_epoch is not None:
            self.rates.copy_(self.rates_of_epoch[self.index, :, None])
        if self.replays and self.replay is None and batch.shape[1] == self.size:
            self.first_steps -= 1
            if self.first_steps < 0:
                self.replay = Replay(self.method, self.risk, self.at, batch)
                self.at = self.replay.at
        if self.replay is None:
            after, losses = stepped(self.method, self.risk, self.at, batch)
            self.window.append(losses)
            # Nothing is called from here on: an interruption comes before all of it or after.
            self.at = after
            self.taken += 1
            return
        losses = self.replay.losses
        try:
            self.replay.step(batch)
        finally:  # an interruption comes when w has moved
            self.window.append(losses.clone())
            self.taken += 1

    def _look(self, logs: Sequence[bool], at_iterate: Tensor | None = None) -> None:
        """Write down the steps that were taken since the last look; diverged runs leave.

        Args:
            logs: of which runs the last step is a row of the history.
            at_iterate: the losses at w_t in that step, where the method looked elsewhere.
        """
        pending = self.window[: self.taken - self.looked_at]
        if not pending:
            return
        rows = pending if at_iterate is None else [*pending, at_iterate]
        values = torch.stack(rows).double().cpu().numpy()
        told, values = values[-1], values[: len(pending)]
        for k, run in enumerate(self.runs):
            if run.outcome.status == "finished":
                own = values[run.outcome.step - self.looked_at :, k]
                self._note(run, own, float(told[k]) if logs[k] else None)
        # Nothing is called from here on: an interruption comes before all of it or after.
        self.seen += [values]
        self.window = []
        self.looked_at = self.taken
        self._leave([k for k, run in enumerate(self.runs) if run.outcome.divergence])

    def _note(self, run: Journal[Job], losses: NDArray[np.float64], logged: float | None) -> None:
        """Write down steps of a run by their losses, until one is not finite."""
        finite = np.isfinite(losses)
        steps = len(losses) if finite.all() else int(finite.argmin())
        diverged = steps < len(losses)
        if steps:
            run.last_loss = float(losses[steps - 1])
        if logged is not None and not diverged:
            self._advance(run, steps - 1)
            samples = run.job.sampling.samples_before(run.outcome.step + 1)
            run.log(self.epoch, samples, logged, samples)
            steps = 1
        self._advance(run, steps)
        if diverged:
            run.diverged(run.outcome.step, self.epoch, float(losses[steps]))
        else:
            run.tell(self.epoch)

    @staticmethod
    def _advance(run: Journal[Job], steps: int) -> None:
        samples = run.job.sampling.samples_before(run.outcome.step + steps)
        consumed = samples - run.outcome.samples
        run.stepped(steps, consumed, consumed)  # one gradient an example: first-order methods

    def _end(self) -> None:
        """Evaluate the runs after an epoch; those that are through leave."""
        runs = self.runs
        self._evaluate(range(len(runs)))
        self.epoch, self.index, self.seen = self.epoch + 1, 0, []
        self._leave([k for k, run in enumerate(runs) if run.outcome.divergence or run.is_over()])

    def _evaluate(self, which: Collection[int]) -> None:
        """Evaluate some of the runs on every part that is looked at after an epoch."""
        started, epoch, runs = time.perf_counter(), self.epoch, self.runs
        seen = np.concatenate(self.seen)
        sizes = runs[0].job.sampling.sizes[: len(seen)]
        train_losses = np.average(seen, axis=0, weights=sizes)
        judged: dict[Part, list[Judged]] = {
            part: self.risk.judge(
                self.at.w, data, [job.selection.score_on(part) for job in self.jobs]
            )
            for part, data in self.parts.items()
            if part != "test" or runs[0].job.tests_every_epoch
        }
        seconds = (time.perf_counter() - started) / len(which)
        for k in which:
            run, train_loss = runs[k], float(train_losses[k])
            run.outcome.test_seconds += seconds
            run.evaluate(epoch, train_loss, lambda part, k=k: judged[part][k])  # type: ignore[misc]
            if self.best is not None and not run.outcome.divergence and run.is_best:
                self.best[k] = self.at.w[k]

    def _leave(self, leaving: Collection[int]) -> None:
        """Bring the models of some runs to where these stand, and close the ranks."""
        if not leaving:
            return
        self._close(sorted(leaving))
        kept = [k for k in range(len(self.runs)) if k not in leaving]
        self.runs = [self.runs[k] for k in kept]
        if not kept:
            return
        self.at = self.at.kept(kept)
        if self.best is not None:
            self.best = self.best[kept]
        self.seen = [values[:, kept] for values in self.seen]
        if len(self.order) > 1:
            self.order = self.order[kept]
        if self.rates_of_epoch is not None:
            self.rates_of_epoch = self.rates_of_epoch[:, kept]
        self._arrange()

    def _close(self, leaving: list[int]) -> None:
        """Leave the parameters that are kept in the models of these runs, and measure them."""
        runs = [self.runs[k] for k in leaving]
        rows = [
            self.best[k] if self.best is not None and run.keeps_best else self.at.w[k]
            for k, run in zip(leaving, runs, strict=True)
        ]
        for run, row in zip(runs, rows, strict=True):
            self.network.assign(run.job.model, row)
        measured = [i for i, run in enumerate(runs) if run.kept is not None]
        if not measured:
            return
        data = Examples([self._placed(runs[i].job.test) for i in measured])
        risk = replace(self.risk, network=self._networks([runs[i] for i in measured]))
        found = risk.test(torch.stack([rows[i] for i in measured]), data)
        for i, tested in zip(measured, found, strict=True):
            runs[i].test(lambda tested=tested: tested)  # type: ignore[misc]

    def _assign(self, rows: Collection[int]) -> None:
        for k in rows:
            self.network.assign(self.runs[k].job.model, self.at.w[k])

    def interrupt(self) -> None:
        """Leave every run where it stands."""
        self._look([False] * len(self.runs))
        self._assign(range(len(self.runs)))
        for run in self.runs:
            if run.outcome.status == "finished":
                run.outcome.status = "interrupted"
