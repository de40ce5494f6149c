"""The engine that runs networks of PyTorch in C++: the history of the eager engine, sooner."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.graph import increment_version

from gradus import kernels
from gradus.data.dataset import Dataset
from gradus.data.streaming.order import StreamOrder
from gradus.engine import dense, dropping, evaluate
from gradus.engine.execution import Execution
from gradus.engine.job import Job, Judged, Outcome, Part, Report, Tested
from gradus.engine.layers import Layer, Network
from gradus.engine.native_sparse import Linear
from gradus.engine.snapshot import WHOLE_RUN, Course, Snapshot
from gradus.engine.stepping import KernelSteps, Stretch
from gradus.engine.words import Words, check_sparse, movement_of


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
            _check_sparse(job)
    except dense.Obstacle as found:
        return f"the native engine does not run {found}"
    return None


def _check_sparse(job: Job) -> None:
    """Whether the kernels run the job, whose examples are sparse and which they run on others.

    Raises:
        Obstacle: they do not; it says why.
    """
    if not (job.train.is_sparse and job.test.is_sparse):
        raise dense.Obstacle("sparse inputs beside others")
    network = dense.network_of(job.model)
    check_sparse([_words_of(layer) for layer in network.layers], movement_of(job)[1])
    if any(each is not None and not each.requires_grad for each in network.layers[0].parameters):
        raise dense.Obstacle("sparse inputs with frozen parameters")
    if job.precision == "bf16":
        raise dense.Obstacle("sparse inputs in bfloat16")


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


class _Execution(KernelSteps, Execution):
    """One run of a model under way."""

    def __init__(self, job: Job, report: Report, course: Course = WHOLE_RUN) -> None:
        super().__init__(job, report, course)
        place: Any = {"device": job.device, "dtype": job.dtype}
        self.model = job.model.to(**place)
        self.net = dense.network_of(job.model)
        train, words = job.train.to(**place), _words(job, self.net)
        threads = torch.get_num_threads()
        network: Any = (
            Linear(words, threads) if train.is_sparse else words.network(self.size, threads)
        )
        if not train.is_sparse:
            network.draw_by(dropping.key_of(job.seed))
        self.begin(network)
        self.data = self._examples(train)
        self.parts: dict[Part, Dataset] = {}
        if job.measured:
            self.parts |= {"train": train.fixed_sample, "test": job.test.to(**place)}
        if job.validation is not None:
            self.parts["validation"] = job.validation.to(**place)
        self.examples = {
            id(data): self.data if data is train else self._examples(data)
            for data in self.parts.values()
        }
        if course.since is not None:
            self.go_on(course.since)
        if course.attach is not None:
            course.attach(self)

    def _examples(self, data: Dataset) -> Any:
        """The examples as the kernels take them."""
        if isinstance(self.network, Linear):
            return self.network.data(**_arrays_of_sparse(data))
        kind = "Data32" if self.job.dtype == torch.float32 else "Data64"
        return getattr(kernels.core(), kind)(**_arrays_of(data))

    def train(self) -> float | None:
        """The rest of a pass: the mean of its losses, or None where it diverged."""
        if not self.model.training:
            self.model.train()
        return super().train()

    def _stretches(self, epoch: int, at: int) -> Generator[Stretch]:
        """The steps of an epoch from ``at`` on, as far as the examples of each lie in memory."""
        sampling = self.job.sampling
        if not isinstance(sampling, StreamOrder):
            yield from super()._stretches(epoch, at)
            return
        with closing(sampling.buffers(epoch, at)) as buffers:
            for data, order, first, until in buffers:
                yield Stretch(self._examples(data), order, first, until)

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
        self.network.outputs(self.examples[id(data)], examples, outputs.numpy())
        return outputs.log_softmax(dim=1) if self.net.log_softmax else outputs

    def settle(self) -> None:
        """Bring the model to where the network stands."""
        self._note()
        for index, layer in enumerate(self.net.layers):
            arrays: Sequence[NDArray[Any] | None]
            weight, bias = parameters = layer.parameters
            if weight is not None or bias is not None:
                arrays = _arrays_within(parameters, layer.outputs)
                self.network.get(index, *arrays)
                _write(parameters, arrays)
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

    def put_aside(self, kept: dict[str, Any]) -> dict[str, Any]:
        """The same, and running statistics, which stand in the model where it is settled."""
        super().put_aside(kept)
        if not isinstance(self.network, Linear):
            self.settle()
            for name, buffer in self.model.named_buffers():
                kept[f"buffer.{name}"] = buffer.detach().clone()
        return {}

    def go_on(self, since: Snapshot) -> None:
        """Stand where the snapshot does."""
        if not isinstance(self.network, Linear):
            with torch.no_grad():
                for name, buffer in self.model.named_buffers():
                    buffer.copy_(since.tensors[f"buffer.{name}"])
            self.take_over()
        super().go_on(since)

    def arrays(self) -> Iterator[tuple[int, list[NDArray[Any] | None]]]:
        """The layers with parameters, and copies of them."""
        for index, layer in enumerate(self.net.layers):
            if any(each is not None for each in layer.parameters):
                yield index, _arrays_of_layer(layer)


def _words(job: Job, net: Network) -> Words:
    """What the kernels are told of a job."""
    return Words(
        32 if job.dtype == torch.float32 else 64,
        net.inputs,
        [_words_of(layer) for layer in net.layers],
        net.log_softmax,
        dense.loss_of(job.loss, job.train, net.widths[-1]),
        *movement_of(job),
        _options(job),
    )


def _options(job: Job) -> dict[str, Any]:
    """What is not as in every other run, as keywords of the kernels' network."""
    options: dict[str, Any] = {"bfloat16": True} if job.precision == "bf16" else {}
    if job.clip is not None:
        limits = {"clip_norm": job.clip.norm, "clip_value": job.clip.value}
        options |= {name: limit for name, limit in limits.items() if limit is not None}
    return options


def _words_of(layer: Layer) -> dict[str, Any]:
    """A layer as the kernels take it."""
    weight, bias = layer.parameters
    return {
        "kind": layer.kind,
        "outputs": layer.outputs,
        "reads": layer.reads,
        "also": layer.also,
        "activation": layer.activation.curve,
        "numbers": layer.activation.numbers,
        "has_weight": weight is not None,
        "has_bias": bias is not None,
        "moves_weight": weight is not None and weight.requires_grad,
        "moves_bias": bias is not None and bias.requires_grad,
        **layer.options,
    }


def _arrays_within(
    parameters: tuple[Tensor | None, Tensor | None], outputs: int
) -> list[NDArray[Any] | None]:
    """Weights of a layer, as a matrix, and its bias: in the memory of theirs, if in one piece."""
    weight, bias = parameters
    vector = None if bias is None else np.ascontiguousarray(bias.detach().numpy())
    if weight is None:
        return [np.empty((outputs, 0), "f4" if vector is None else vector.dtype), vector]
    return [np.ascontiguousarray(weight.detach().numpy().reshape(len(weight), -1)), vector]


def _arrays_of_layer(layer: Layer) -> list[NDArray[Any] | None]:
    """Copies of them."""
    arrays = _arrays_within(layer.parameters, layer.outputs)
    return [None if each is None else each.copy() for each in arrays]


def _kept_by(norm: nn.BatchNorm1d) -> tuple[Tensor, ...]:
    """Its running statistics, and of how many batches they are."""
    kept = norm.running_mean, norm.running_var, norm.num_batches_tracked
    return tuple(each for each in kept if each is not None)


def _statistics_of(norm: nn.BatchNorm1d) -> tuple[NDArray[Any], NDArray[Any], int]:
    mean, variance, batches = _kept_by(norm)
    return np.array(mean.numpy()), np.array(variance.numpy()), int(batches)


def _write(tensors: Sequence[Tensor | None], arrays: Sequence[NDArray[Any] | None]) -> None:
    """Put arrays into tensors; one that lies in the memory of its tensor is there already."""
    for tensor, array in zip(tensors, arrays, strict=True):
        if tensor is None or array is None:
            continue
        given = torch.from_numpy(array)
        if given.data_ptr() == tensor.data_ptr():
            increment_version(tensor)
            continue
        with torch.no_grad():
            tensor.copy_(given.view_as(tensor))


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


def _arrays_of_sparse(data: Dataset) -> dict[str, Any]:
    """The same of sparse inputs."""
    arrays: dict[str, Any] = {
        "features": data.x.shape[1],
        "starts": data.x.crow_indices().numpy(),
        "columns": data.x.col_indices().numpy(),
        "values": data.x.values().numpy(),
    }
    arrays["numbers" if data.y.is_floating_point() else "classes"] = data.y.contiguous().numpy()
    if data.weights is not None:
        arrays["weights"] = data.weights.to(data.dtype).contiguous().numpy()
    return arrays
