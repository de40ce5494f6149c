"""The native engine on arrays: dense networks are trained by the kernels, without PyTorch.

A run is that of :mod:`gradus.engine.native` to the bit, but for its losses on the examples held,
which are added up by the kernels too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from gradus import kernels
from gradus.engine.job import Judged, Outcome, Part, Report, Task, Tested
from gradus.engine.native_sparse import Linear
from gradus.engine.snapshot import WHOLE_RUN, Course
from gradus.engine.stepping import KernelSteps
from gradus.engine.words import Loss, Words, check_sparse, movement_of
from gradus.optim.rules import Obstacle

Array = NDArray[Any]
Examples = Mapping[str, Any]
"""What the core's data are made of: ``x``, ``classes`` or ``numbers``, and perhaps ``weights``; of
sparse inputs, in the place of x, ``features``, ``starts``, ``columns`` and ``values``."""


class Parameters(NamedTuple):
    """Of the layers, one after another: ``[out, in]`` and ``[out]``."""

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class PlainJob(Task):
    """Everything that determines a run, as arrays.

    Attributes:
        start: where the parameters begin.
        activation: between the layers, as the kernels call it.
        loss: in their words.
        validation: what epochs are compared on, None where no examples are held for it.
    """

    start: Parameters
    activation: str
    loss: Loss
    train: Examples
    validation: Examples | None = None
    measured: bool = False

    @property
    def validates(self) -> bool:
        """Whether examples are held that epochs are compared on."""
        return self.validation is not None

    @property
    def is_sparse(self) -> bool:
        """Whether the inputs are."""
        return "starts" in self.train

    @property
    def words(self) -> Words:
        """What the kernels are told of it.

        Raises:
            Obstacle: they do not run it.
        """
        layers = layers_of([len(each) for each in self.start.biases], self.activation)
        movement = movement_of(self)
        if self.is_sparse:
            check_sparse(layers, movement[1])
        first = self.start.weights[0]
        bits = 8 * first.dtype.itemsize
        return Words(bits, first.shape[1], layers, False, self.loss, *movement, {})


def layers_of(outputs: list[int], activation: str) -> list[dict[str, Any]]:
    """A stack of dense layers of so many outputs, as keywords of the core's ``Layer``."""
    curves = [activation] * (len(outputs) - 1) + ["identity"]
    return [
        {"kind": "dense", "outputs": width, "reads": at, "activation": curve, "has_bias": True}
        for at, (width, curve) in enumerate(zip(outputs, curves, strict=True))
    ]


def runs(job: PlainJob) -> bool:
    """Whether this engine runs the job: the kernels are here, and know all of it.

    Raises:
        InputError: GRADUS_KERNELS forces kernels that do not run here.
    """
    if kernels.absence():
        return False
    kernels.variant()
    try:
        job.words  # noqa: B018
    except Obstacle:
        return False
    return True


def execute(
    job: PlainJob,
    report: Report = lambda progress: None,
    course: Course = WHOLE_RUN,
    *,
    threads: int = 1,
) -> tuple[Outcome, Parameters]:
    """Take the steps of a job, by so many threads; where the parameters end.

    Raises:
        Obstacle: the job is not one that the kernels run; ask ``runs`` first.

    Example:
        >>> from gradus.data.sampling import Sampling
        >>> from gradus.engine.words import mean_of
        >>> from gradus.methods import GradientDescent
        >>> line = PlainJob(
        ...     start=Parameters((np.zeros((1, 1)),), (np.zeros(1),)),
        ...     activation="identity",
        ...     loss=mean_of("mse"),
        ...     penalty=None,
        ...     method=GradientDescent(0.1),
        ...     train={"x": np.array([[-1.0], [1.0]]), "numbers": np.array([[-3.0], [1.0]])},
        ...     sampling=Sampling("full", 2),
        ...     epochs=200,
        ...     log_every=1,
        ...     seed=0,
        ... )
        >>> outcome, found = execute(line)
        >>> outcome.status, found.weights[0].round(6).tolist(), found.biases[0].round(6).tolist()
        ('finished', [[2.0]], [-1.0])
    """
    execution = _Execution(job, report, course, threads)
    return execution.run(), execution.parameters


@final
class _Execution(KernelSteps):
    """One run under way."""

    def __init__(self, job: PlainJob, report: Report, course: Course, threads: int) -> None:
        super().__init__(job, report, course)
        self.words, self.parameters = job.words, job.start
        self.begin(
            Linear(self.words, threads) if job.is_sparse else self.words.network(self.size, threads)
        )
        self.data = self._given(job.train)
        self.held = job.validation
        self.judged = None if self.held is None else self._given(self.held)
        if course.since is not None:
            self.go_on(course.since)

    def _given(self, examples: Examples) -> Any:
        """The examples as the kernels take them."""
        if isinstance(self.network, Linear):
            return self.network.data(**examples)
        return getattr(kernels.core(), f"Data{self.words.bits}")(**examples)

    def take_over(self) -> None:
        """Bring the network to the parameters."""
        for index, pair in enumerate(zip(*self.parameters, strict=True)):
            self.network.set(index, *pair)

    def arrays(self) -> Iterator[tuple[int, list[Array | None]]]:
        """The layers, and arrays of the forms of their parameters."""
        for index, pair in enumerate(zip(*self.parameters, strict=True)):
            yield index, list(pair)

    def settle(self) -> None:
        """Bring the parameters to where the network stands."""
        self._note()
        weights, biases = (tuple(map(np.empty_like, each)) for each in self.parameters)
        for index, pair in enumerate(zip(weights, biases, strict=True)):
            self.network.get(index, *pair)
        self.parameters = Parameters(weights, biases)

    def values(self) -> dict[str, Array]:
        """The parameters, which nobody writes to."""
        named = zip(Parameters._fields, self.parameters, strict=True)
        return {f"{i}.{name}": each for name, kept in named for i, each in enumerate(kept)}

    def put(self, values: Mapping[str, Any]) -> None:
        """Leave these as the parameters."""
        layers = range(len(self.parameters.weights))
        weights, biases = (
            tuple(np.asarray(values[f"{i}.{name}"]) for i in layers) for name in Parameters._fields
        )
        self.parameters = Parameters(weights, biases)

    def judge(self, part: Part) -> Judged:
        """The loss on the examples held."""
        assert self.held is not None
        targets = {name: self.held[name] for name in TARGETS if name in self.held}
        rows = len(next(iter(targets.values())))
        outputs = np.empty((rows, self.words.outputs), self.parameters.weights[0].dtype)
        self.network.outputs(self.judged, np.arange(rows), outputs)
        return Judged(self.words.risk.mean(kernels.variant(), outputs, **targets), None)

    def test(self) -> Tested:
        """Nobody asks: nothing is measured."""
        raise AssertionError("no run of arrays has a test part")

    def show(self) -> None:
        """Nobody watches parameters that are arrays."""


TARGETS = ("classes", "numbers", "weights")
"""What examples have beside their inputs."""
