"""The true risk over a plane: of every point the loss of the model there, on the same examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gradus.data.dataset import Dataset
from gradus.engine.dense import Network, Obstacle, network_of
from gradus.engine.job import Job
from gradus.figures.landscape.plane import Plane
from gradus.risk.chunks import Mass, averaged, summed
from gradus.risk.empirical import EmpiricalRisk
from gradus.risk.examples import weights_of
from gradus.risk.losses import weighted

Numbers = NDArray[np.float64]

CHUNK: Final = 2000
"""Examples that are evaluated at once."""

ACTIVATIONS: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "identity": lambda z: z,
    "relu": torch.relu_,
    "tanh": torch.tanh_,
    "sigmoid": torch.sigmoid_,
}

Parts = Sequence[tuple[Tensor, Tensor]]

Progress = Callable[[int, int], None]
"""Called with how much is done, and of how much."""


def risks(
    job: Job, data: Dataset, plane: Plane, a: Numbers, b: Numbers, progress: Progress
) -> Numbers:
    r"""The risk at $o + a u + b v$ for every a and b, ``[len(b), len(a)]``.

    Of dense networks the first layer is linear in a and b before its activation: its three
    products with the examples are taken once for the whole plane. Any other model is evaluated
    point by point. Both give the risk itself: the mean loss of all examples, and the penalty.

    Args:
        job: the model, in whatever mode: it is evaluated in ``eval`` mode; loss and penalty.
        data: the examples.
        plane: o, u, v.
        a: along u.
        b: along v.
        progress: called as the work goes on.
    """
    job.model.to(device="cpu", dtype=job.dtype).eval()
    try:
        network = network_of(job.model)
        curves = [activation.curve for activation in network.activations]
        is_known = (
            network.is_plain and network.is_all_of(job.model) and ACTIVATIONS.keys() >= set(curves)
        )
    except Obstacle:
        is_known = False
    with torch.no_grad():
        if not is_known:
            return _point_by_point(job, data, plane, a, b, progress)
        values = _dense(network, job, data, plane, a, b, progress)
        if job.penalty is not None:
            for j, i, w in _points(plane, a, b):
                values[j, i] += float(job.penalty.value(w))
    return values


def _points(plane: Plane, a: Numbers, b: Numbers) -> Iterator[tuple[int, int, Tensor]]:
    u, v = plane.directions
    for i, first in enumerate(a):
        along = plane.origin + float(first) * u
        for j, second in enumerate(b):
            yield j, i, along + float(second) * v


def _point_by_point(
    job: Job, data: Dataset, plane: Plane, a: Numbers, b: Numbers, progress: Progress
) -> Numbers:
    risk = EmpiricalRisk(job.model, job.loss, data, job.penalty)
    values = np.empty((len(b), len(a)))
    for done, (j, i, w) in enumerate(_points(plane, a, b), start=1):
        values[j, i] = float(risk.value(w))
        progress(done, values.size)
    return values


def _dense(
    network: Network,
    job: Job,
    data: Dataset,
    plane: Plane,
    a: Numbers,
    b: Numbers,
    progress: Progress,
) -> Numbers:
    layers = _layers(network, job, plane)
    act = [ACTIVATIONS[activation.curve] for activation in network.activations]
    totals = np.zeros((len(b), len(a)))
    masses: list[Mass] = []
    chunks = range(0, len(data), CHUNK)
    for done, start in enumerate(chunks):
        chunk = slice(start, min(start + CHUNK, len(data)))
        x, y = data.batch(chunk)
        loss = weighted(job.loss, weights_of(data, chunk))
        x = x.flatten(1)
        o, u, v = (nn.functional.linear(x, weight, bias) for weight, bias in layers[0])
        # Fresh memory for every product would cost more than the smaller of them.
        z, buffers = torch.empty_like(o), [_LayerBuffers(parts, len(x)) for parts in layers[1:]]
        for i, first in enumerate(a):
            z_along = o.add(u, alpha=float(first))
            for buffer in buffers:
                buffer.go_along(float(first))
            for j, second in enumerate(b):
                h = act[0](torch.add(z_along, v, alpha=float(second), out=z))
                for buffer, activation in zip(buffers, act[1:], strict=True):
                    h = activation(buffer.outputs(h, float(second)))
                if network.log_softmax:
                    h = h.log_softmax(dim=1)
                total, mass = summed(loss, h, y)
                totals[j, i] += float(total)
            progress(done * len(a) + i + 1, len(chunks) * len(a))
        masses.append(mass)
    return np.asarray(averaged(torch.from_numpy(totals), masses).numpy())


@final
class _LayerBuffers:
    """One layer at a point of the plane, and what it gives for a chunk of examples.

    Args:
        parts: weight and bias in the origin and in both directions.
        n: examples in a chunk.
    """

    def __init__(self, parts: Parts, n: int) -> None:
        self.parts = parts
        (weight, bias), _, _ = parts
        self.along = weight.clone(), bias.clone()
        self.here = weight.clone(), bias.clone()
        self.out = weight.new_empty(n, len(weight))

    def go_along(self, a: float) -> None:
        """Set the coordinate along the first direction."""
        for origin, move, along in zip(self.parts[0], self.parts[1], self.along, strict=True):
            torch.add(origin, move, alpha=a, out=along)

    def outputs(self, h: Tensor, b: float) -> Tensor:
        """What the layer gives, before its activation, at b along the second direction."""
        for along, move, here in zip(self.along, self.parts[2], self.here, strict=True):
            torch.add(along, move, alpha=b, out=here)
        weight, bias = self.here
        return torch.addmm(bias, h, weight.T, out=self.out)


def _layers(network: Network, job: Job, plane: Plane) -> list[Parts]:
    """Weight and bias of every layer, in the origin and in both directions."""
    places, at = {}, 0
    for parameter in job.model.parameters():
        places[id(parameter)] = slice(at, at + parameter.numel())
        at += parameter.numel()
    layers: list[Parts] = []
    for linear in network.linears:
        parts = []
        for vector in (plane.origin, *plane.directions):
            weight = vector[places[id(linear.weight)]].view(linear.weight.shape)
            bias = (
                vector.new_zeros(len(weight))
                if linear.bias is None
                else vector[places[id(linear.bias)]]
            )
            parts.append((weight.contiguous(), bias))
        layers.append(parts)
    return layers
