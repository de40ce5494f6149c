"""The engine that runs networks in C++: the history of the eager engine, sooner.

The kernels take all steps of a call by themselves; Python chooses the batches, looks at the losses
every tenth of a second, and keeps the record.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gradus import kernels
from gradus.data.dataset import Dataset
from gradus.data.streaming.order import StreamOrder
from gradus.engine import dense, dropping, evaluate, native_sparse
from gradus.engine.execution import Execution
from gradus.engine.job import Job, Judged, Outcome, Part, Report, Row, Tested
from gradus.engine.layers import Layer, Network
from gradus.engine.snapshot import WHOLE_RUN, Course, Snapshot

CALL_SECONDS = 0.1
"""How long a call of the kernels may last: in between, the run can be interrupted and reports."""

CALLS_ALONE = 10
"""How many calls one thread takes alone before all of them are tried again."""


def obstacle(job: Job) -> str | None:
    """Why this engine does not run the job, as one sentence; None where it does.

    Raises:
        InputError: GRADUS_KERNELS forces kernels that do not run here.
    """
    if reason := kernels.absence():
        return reason
    kernels.variant()
    if job.compiled:
        return "the native engine does not call a model that PyTorch compiles"
    if job.together is not None:
        return "the native engine trains in one process"
    if job.ema is not None:
        return "the native engine does not average parameters over the steps"
    if job.precision == "bf16" and not kernels.multiplies_bfloat16():
        return f"the native kernels for {kernels.variant()} take no products in bfloat16"
    if job.train.x.dtype == torch.int64:
        return "the native engine does not run inputs that are whole numbers"
    try:
        dense.check(job)
        if job.train.is_sparse or job.test.is_sparse:
            native_sparse.check(job, dense.network_of(job.model))
    except dense.Obstacle as found:
        return f"the native engine does not run {found}"
    return None


def execute(
    job: Job, report: Report = lambda progress: None, course: Course = WHOLE_RUN
) -> Outcome:
    """Take the steps of a job, leaving the parameters where they end in its model.

    The record is that of the eager engine but for rounding, for any number of threads the same to
    the bit. It reports after every call of the kernels, which take as many steps at once as fit
    into a tenth of a second. The course says which part of the run is executed; the parts of a run
    leave together what it leaves in one piece, to the bit.

    A run ends early as ``diverged`` at the first loss that is not finite, before its step, and as
    ``interrupted`` on KeyboardInterrupt; what it has recorded until then is kept.

    Raises:
        Obstacle: the job is not one that the kernels run; ask ``obstacle`` first.
    """
    return _Execution(job, report, course).run()


class _Execution(Execution):
    """One run under way."""

    engine = "native"

    def __init__(self, job: Job, report: Report, course: Course = WHOLE_RUN) -> None:
        super().__init__(job, report, course)
        place: Any = {"device": job.device, "dtype": job.dtype}
        self.model = job.model.to(**place)
        self.net = dense.network_of(job.model)
        train = job.train.to(**place)
        self.size = job.sampling.n if job.sampling.name == "full" else job.sampling.batch_size
        self.network: Any = (
            native_sparse.Linear(job, self.net, train, _options(job))
            if train.is_sparse
            else _network(job, self.net, train, self.size)
        )
        self.take_over()
        if begun := dense.accumulated(job.method):
            for index, column, arrays in self._columns():
                if column == 1:
                    for array in arrays:
                        if array is not None:
                            array.fill(begun)
                    self.network.write(index, column, *arrays)
        self.data = self._examples(train)
        self.parts: dict[Part, Dataset] = {}
        if job.measured:
            self.parts |= {"train": train.fixed_sample, "test": job.test.to(**place)}
        if job.validation is not None:
            self.parts["validation"] = job.validation.to(**place)
        self.arrays = {
            id(data): self.data if data is train else self._examples(data)
            for data in self.parts.values()
        }
        self.queries_ahead = dense.method_of(job.method)["rule"] == "nesterov"
        self.aheads = dense.aheads_of(job.method)
        self.calls = _Calls(self.network.threads)
        self.latest: _Call | None = None
        if course.since is not None:
            self._go_on(course.since)
        if course.attach is not None:
            course.attach(self)

    def _examples(self, data: Dataset) -> Any:
        """The examples as the kernels take them."""
        if isinstance(self.network, native_sparse.Linear):
            return self.network.data(data)
        kind = "Data32" if self.job.dtype == torch.float32 else "Data64"
        return getattr(kernels.core(), kind)(**_arrays_of(data))

    def train(self) -> float | None:
        """The rest of a pass: the mean of its losses, or None where it diverged."""
        started, sampling, now = time.perf_counter(), self.job.sampling, self.now
        self.model.train()
        losses = np.empty(sampling.steps)
        at = len(now.losses)
        losses[:at] = now.losses
        try:
            with closing(self._stretches(now.epoch - 1, at)) as stretches:
                for stretch in stretches:
                    at = self._train_on(stretch, losses, at, started)
                    if at < stretch.until or self.journal.outcome.ended_by_observer:
                        break
        finally:
            self.journal.outcome.train_seconds += time.perf_counter() - started
        if self.journal.outcome.divergence is not None:
            return None
        return float(np.average(losses[:at], weights=sampling.sizes[:at]))

    def _stretches(self, epoch: int, at: int) -> Generator[_Stretch]:
        """The steps of an epoch from ``at`` on, as far as the examples of each lie in memory."""
        sampling = self.job.sampling
        if not isinstance(sampling, StreamOrder):
            yield _Stretch(self.data, sampling.order(epoch).numpy(), 0, sampling.steps)
            return
        with closing(sampling.buffers(epoch, at)) as buffers:
            for data, order, first, until in buffers:
                yield _Stretch(self._examples(data), order, first, until)

    def _train_on(
        self, stretch: _Stretch, losses: NDArray[np.float64], at: int, started: float
    ) -> int:
        """Take its steps from ``at`` on; the step at which it ended: where the run did, earlier."""
        now, outcome = self.now, self.journal.outcome
        while at < stretch.until:
            until = min(at + self.calls.steps(), stretch.until)
            if self.course.watch is not None:
                due = self.course.watch.next_after(outcome.step)
                until = int(min(until, at + due - outcome.step))
            if self.course.observe is not None:  # it sees the run where a row is recorded
                until = min(until, at + -at % self.job.log_every + 1)
            rows = len(outcome.history)
            if not self._call(now.epoch, stretch, losses, at, until):
                break
            now.losses += losses[at:until].tolist()
            self.journal.tell(now.epoch)
            self.show()
            at = until
            if len(outcome.history) > rows:
                self.journal.observed(now.epoch)
                if outcome.ended_by_observer:
                    break
            if at < self.job.sampling.steps:
                self.keeper.offer(lambda: self.snapshot(time.perf_counter() - started))
        return at

    def _call(
        self, epoch: int, stretch: _Stretch, losses: NDArray[np.float64], at: int, until: int
    ) -> bool:
        """Take the steps of an epoch from ``at`` to ``until``; False where the run diverged."""
        step, steps = self.journal.outcome.step, until - at
        rates = self.journal.rates(step, steps)
        given: dict[str, Any] = {}
        seen = logged = losses[at:until]
        if self.queries_ahead:
            logged = np.empty(steps)
            given["aheads"] = np.fromiter(itertools.islice(self.aheads, steps), np.float64)
            given["wanted"] = np.arange(at, until) % self.job.log_every == 0
            given["losses_at_iterate"] = logged
        first = stretch.first
        batches = stretch.order[(at - first) * self.size : (until - first) * self.size]
        self.latest = _Call(epoch, at, len(batches), seen, logged)
        started = time.perf_counter()
        self.network.run(
            stretch.data, batches, self.size, rates, seen, threads=self.calls.threads, **given
        )
        waited = self.network.timings()["longest_wait"] if self.network.threads > 1 else 0.0
        self.calls.took(time.perf_counter() - started, steps, waited)
        self._note()
        taken = self.journal.outcome.step - step
        if taken < steps:
            self.journal.diverged(step + taken, epoch, float(seen[taken]))
        return taken == steps

    def _note(self) -> None:
        """Write down the steps of the latest call that were taken and are not written down yet."""
        call, journal, outcome = self.latest, self.journal, self.journal.outcome
        step, samples, rows = outcome.step, outcome.samples, []
        steps = self.network.steps - step
        if call is None or steps == 0:
            return
        for i in range(-call.at % self.job.log_every, steps, self.job.log_every):
            consumed = samples + min((i + 1) * self.size, call.examples)
            loss, lr = float(call.logged[i]), journal.lr(step + i)
            rows.append(Row(step + i, consumed, call.epoch, loss, lr, consumed))
        consumed = samples + min(steps * self.size, call.examples)
        last_loss = float(call.losses[steps - 1])
        # Nothing is called from here on: an interruption comes before all of it or after.
        outcome.history += rows
        outcome.step = step + steps
        outcome.samples = outcome.work = consumed  # one gradient an example: first-order methods
        journal.last_loss = last_loss

    def take_over(self) -> None:
        """Bring the network to where the model stands."""
        for index, layer in enumerate(self.net.layers):
            if any(each is not None for each in layer.parameters):
                self.network.set(index, *_arrays_of_layer(layer))
            if isinstance(layer.module, nn.BatchNorm1d):
                *arrays, batches = _statistics_of(layer.module)
                self.network.set_running(index, *arrays, batches)

    def judge(self, part: Part) -> Judged:
        """The loss and the accuracy on a part of the data, by outputs of the kernels."""
        how = self.job.selection.score_on(part), self.job.metrics_on(part)
        return evaluate.judge(self._outputs, self.job.loss, self.parts[part], *how)

    def test(self) -> Tested:
        """The same on the test part, with the losses of its examples."""
        return evaluate.test(self._outputs, self.job.loss, self.parts["test"], self.job.metrics)

    def _outputs(self, data: Dataset, at: slice) -> Tensor:
        """What the model gives for these examples."""
        outputs = torch.empty(at.stop - at.start, self.net.widths[-1], dtype=self.job.dtype)
        examples = np.arange(at.start, at.stop)
        self.network.outputs(self.arrays[id(data)], examples, outputs.numpy())
        return outputs.log_softmax(dim=1) if self.net.log_softmax else outputs

    def settle(self) -> None:
        """Bring the model to where the network stands."""
        self._note()
        for index, layer in enumerate(self.net.layers):
            arrays: Sequence[NDArray[Any] | None]
            if any(each is not None for each in layer.parameters):
                arrays = _arrays_of_layer(layer)
                self.network.get(index, *arrays)
                _write(layer.parameters, arrays)
            if isinstance(layer.module, nn.BatchNorm1d):
                *arrays, _ = _statistics_of(layer.module)
                batches = np.array(self.network.get_running(index, *arrays))
                _write(_kept_by(layer.module), (*arrays, batches))

    def point(self) -> Tensor:
        """W where the network stands."""
        self.settle()
        return torch.cat([p.detach().flatten() for p in self.model.parameters() if p.requires_grad])

    def column(self, number: int) -> Tensor:
        """What the kernels hold of every parameter in a column, ``[d]``; 0 is where it stands."""
        found: dict[int, Tensor] = {}
        for index, column, arrays in self._columns():
            if column == number:
                self.network.read(index, column, *arrays)
                for parameter, array in zip(self.net.layers[index].parameters, arrays, strict=True):
                    if parameter is not None and array is not None:
                        found[id(parameter)] = torch.from_numpy(array).flatten()
        return torch.cat([found[id(p)] for p in self.model.parameters() if p.requires_grad])

    def put_aside(self, tensors: dict[str, Tensor]) -> dict[str, Any]:
        """Where the network stands and what its method remembers, column by column.

        And running statistics, which stand in the model where it is settled.
        """
        if isinstance(self.network, native_sparse.Linear):
            tensors |= self.network.kept()
            return {}
        for index, column, arrays in self._columns():
            self.network.read(index, column, *arrays)
            for name, array in zip(("weight", "bias"), arrays, strict=True):
                if array is not None:
                    tensors[f"{index}.{column}.{name}"] = torch.from_numpy(array)
        self.settle()
        for name, buffer in self.model.named_buffers():
            tensors[f"buffer.{name}"] = buffer.detach().clone()
        return {}

    def _go_on(self, since: Snapshot) -> None:
        self.aheads = itertools.islice(self.aheads, since.outcome.step, None)
        if isinstance(self.network, native_sparse.Linear):
            self.network.go_on(since.tensors, since.outcome.step)
            return
        with torch.no_grad():
            for name, buffer in self.model.named_buffers():
                buffer.copy_(since.tensors[f"buffer.{name}"])
        self.take_over()
        for index, column, arrays in self._columns():
            for name, array in zip(("weight", "bias"), arrays, strict=True):
                if array is not None:
                    array[...] = since.tensors[f"{index}.{column}.{name}"].numpy()
            self.network.write(index, column, *arrays)
        self.network.steps = since.outcome.step

    def _columns(self) -> Iterator[tuple[int, int, list[NDArray[Any] | None]]]:
        """Every layer and what it holds of every parameter, with arrays of their own for it."""
        for index, layer in enumerate(self.net.layers):
            for column in range(self.network.columns):
                if any(each is not None for each in layer.parameters):
                    yield index, column, _arrays_of_layer(layer)


class _Stretch(NamedTuple):
    """Steps of an epoch whose examples lie in memory together."""

    data: Any
    """They, as the kernels take them."""
    order: NDArray[np.int64]
    """Of the examples, batch after batch."""
    first: int
    """The index of the first step within its epoch."""
    until: int
    """That behind the last."""


@dataclass
class _Call:
    """Steps that the kernels take at once, and what they tell of them."""

    epoch: int
    at: int
    """The index of the first within its epoch."""
    examples: int
    losses: NDArray[np.float64]
    """What the method saw."""
    logged: NDArray[np.float64]
    """At the iterates, where a row is logged."""


class _Calls:
    """How many steps fit into a call, and how many threads take them.

    Threads that share every layer wait for the slowest of them. Where another process has one of
    their processors, that is most of the time, and one thread alone is faster: it then takes the
    next calls, until the others are tried again. The result is the same to the bit. Short calls,
    in which threads have hardly started, say nothing of it.
    """

    def __init__(self, threads: int) -> None:
        self._steps = 1
        self._all, self.threads = threads, threads
        self._waited = 0.0
        self._alone = 0

    def steps(self) -> int:
        return self._steps

    def took(self, seconds: float, steps: int, waited: float) -> None:
        """A call took so long; in all calls together a thread has waited for so long."""
        fitting = math.floor(CALL_SECONDS * steps / max(seconds, 1e-9))
        self._steps = max(1, min(fitting, 8 * self._steps))
        waiting, self._waited = waited - self._waited, waited
        if self.threads > 1 and waiting > seconds / 2 and seconds > CALL_SECONDS / 4:
            self.threads, self._alone = 1, CALLS_ALONE
        elif self.threads < self._all:
            self._alone -= 1
            if self._alone == 0:
                self.threads = self._all


def _network(job: Job, net: Network, train: Dataset, size: int) -> Any:
    """The kernels' network of dense inputs."""
    core: Any = kernels.core()
    bits = 32 if job.dtype == torch.float32 else 64
    network = getattr(core, f"Network{bits}")(
        kernels.variant(),
        net.inputs,
        [_layer_of(core, layer) for layer in net.layers],
        net.log_softmax,
        getattr(core, f"Risk{bits}")(*dense.loss_of(job.loss, train, net.widths[-1])),
        core.Method(**dense.method_of(job.method)),
        core.Penalty(**dense.penalty_of(job.penalty, job.method)),
        size,
        torch.get_num_threads(),
        **_options(job),
    )
    network.draw_by(dropping.key_of(job.seed))
    return network


def _options(job: Job) -> dict[str, Any]:
    """What is not as in every other run, as keywords of the kernels' network."""
    options: dict[str, Any] = {"bfloat16": True} if job.precision == "bf16" else {}
    if job.clip is not None:
        limits = {"clip_norm": job.clip.norm, "clip_value": job.clip.value}
        options |= {name: limit for name, limit in limits.items() if limit is not None}
    return options


def _layer_of(core: Any, layer: Layer) -> Any:
    """A layer as the kernels take it."""
    weight, bias = layer.parameters
    return core.Layer(
        layer.kind,
        layer.outputs,
        layer.reads,
        layer.also,
        *layer.activation,
        has_weight=weight is not None,
        has_bias=bias is not None,
        moves_weight=weight is not None and weight.requires_grad,
        moves_bias=bias is not None and bias.requires_grad,
        **layer.options,
    )


def _arrays_of_layer(layer: Layer) -> list[NDArray[Any] | None]:
    """Copies of its weights, as a matrix, and of its bias, in one piece each."""
    weight, bias = layer.parameters
    if weight is None:
        matrix = np.empty((layer.outputs, 0), "f4" if bias is None else bias.detach().numpy().dtype)
    else:
        matrix = np.array(weight.detach().numpy().reshape(len(weight), -1), order="C")
    return [matrix, None if bias is None else np.array(bias.detach().numpy(), order="C")]


def _kept_by(norm: nn.BatchNorm1d) -> tuple[Tensor, ...]:
    """Its running statistics, and of how many batches they are."""
    kept = norm.running_mean, norm.running_var, norm.num_batches_tracked
    return tuple(each for each in kept if each is not None)


def _statistics_of(norm: nn.BatchNorm1d) -> tuple[NDArray[Any], NDArray[Any], int]:
    mean, variance, batches = _kept_by(norm)
    return np.array(mean.numpy()), np.array(variance.numpy()), int(batches)


def _write(tensors: Sequence[Tensor | None], arrays: Sequence[NDArray[Any] | None]) -> None:
    with torch.no_grad():
        for tensor, array in zip(tensors, arrays, strict=True):
            if tensor is not None:
                tensor.copy_(torch.from_numpy(array).view_as(tensor))


def _arrays_of(data: Dataset) -> dict[str, Any]:
    """The examples as the kernels take them."""

    def flat(values: Tensor) -> NDArray[Any]:
        """One number for every feature."""
        return values.broadcast_to((1, *data.input_shape)).flatten().contiguous().numpy()

    arrays: dict[str, Any] = {"x": data.x.flatten(1).contiguous().numpy(), "scale": data.scale}
    arrays["numbers" if data.y.is_floating_point() else "classes"] = data.y.contiguous().numpy()
    if data.mean is not None:
        arrays["mean"] = flat(data.mean)
    if data.std is not None:
        arrays["deviation"] = flat(data.std)
    if data.weights is not None:
        arrays["weights"] = data.weights.to(data.dtype).contiguous().numpy()
    return arrays
