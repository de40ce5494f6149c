"""The empirical risks of K runs, evaluated at once: dense networks of one shape, as rows [K, d]."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from gradus.data.dataset import Dataset
from gradus.engine import dense
from gradus.engine.evaluate import terms
from gradus.engine.job import Judged, Tested
from gradus.engine.selection import Score
from gradus.engine.stacked_activations import Curve, curve_of
from gradus.risk.chunks import averaged, summed
from gradus.risk.losses import Loss
from gradus.risk.penalties import Penalty

EXAMPLES = 2**17
"""How many examples, of all runs together, are evaluated at once: a bound on the memory."""

CHUNK = 4096
"""How many of one run are, at most."""


@final
@dataclass(frozen=True, eq=False)
class Layer:
    """Where a linear layer lies in a row, and what follows it."""

    shape: tuple[int, int]
    weights: slice
    biases: slice | None
    activation: Curve

    def weight(self, w: Tensor) -> Tensor:
        """The weights of all runs, ``[K, outputs, inputs]``: a view."""
        weights: Tensor = w[:, self.weights].unflatten(1, self.shape)
        return weights

    def linear(self, w: Tensor, x: Tensor) -> Tensor:
        """``[K, B, inputs]`` to ``[K, B, outputs]``, before the activation."""
        weight = self.weight(w).transpose(1, 2)
        if self.biases is None:
            return torch.bmm(x, weight)
        return torch.baddbmm(w[:, self.biases].unsqueeze(1), x, weight)


class Pass(NamedTuple):
    """What a layer was given, what its linear part made of it, and what it gave."""

    x: Tensor
    z: Tensor
    h: Tensor


@final
class StackedNetwork:
    """K dense networks of one shape: a row of [K, d] holds the parameters of one, in order.

    The gradient is written by hand, straight into its place in [K, d]; automatic differentiation
    would make a tensor of every layer first and copy them together.

    Args:
        network: any one of them.
    """

    def __init__(self, network: dense.Network) -> None:
        self.layers: list[Layer] = []
        self.log_softmax = network.log_softmax
        at = 0
        for linear, activation in zip(network.linears, network.activations, strict=True):
            outputs, inputs = linear.weight.shape
            weights, biases = slice(at, at + outputs * inputs), None
            if linear.bias is not None:
                biases = slice(weights.stop, weights.stop + outputs)
            at = weights.stop if biases is None else biases.stop
            curve = curve_of(activation)
            self.layers.append(Layer((outputs, inputs), weights, biases, curve))
        self.dimension: int = at

    def rows(self, models: Sequence[nn.Module], device: torch.device, dtype: torch.dtype) -> Tensor:
        """Where the models stand, ``[K, d]``."""
        rows = torch.empty(len(models), self.dimension, dtype=dtype)
        for row, model in zip(rows, models, strict=True):
            parameters = _parameters(model)
            torch.cat([each.detach().cpu().to(dtype).flatten() for each in parameters], out=row)
        return rows.to(device)

    def assign(self, model: nn.Module, row: Tensor) -> None:
        """Bring a model to where its row stands."""
        parameters = _parameters(model)
        pieces = row.split([each.numel() for each in parameters])
        with torch.no_grad():
            for parameter, piece in zip(parameters, pieces, strict=True):
                parameter.copy_(piece.view(parameter.shape))

    def outputs(self, w: Tensor, x: Tensor) -> Tensor:
        """What the networks give for x ``[K, B, inputs]``."""
        for layer in self.layers:
            x = layer.activation.value(layer.linear(w, x))
        return self.ended(x)

    def ended(self, outputs: Tensor) -> Tensor:
        """What follows the last layer."""
        return outputs.log_softmax(2) if self.log_softmax else outputs

    def forward(self, w: Tensor, x: Tensor) -> list[Pass]:
        """The same, up to the last layer, with what the way back needs."""
        passes: list[Pass] = []
        for layer in self.layers:
            z = layer.linear(w, x)
            h = layer.activation.value(z)
            passes.append(Pass(x, z, h))
            x = h
        return passes

    def backward(self, w: Tensor, passes: Sequence[Pass], g: Tensor) -> Tensor:
        """The gradients ``[K, d]``, given those with respect to the outputs of the last layer."""
        gradient = torch.empty_like(w)
        for layer, (x, z, h) in zip(reversed(self.layers), reversed(passes), strict=True):
            g = layer.activation.back(g, z, h)
            torch.bmm(g.transpose(1, 2), x, out=layer.weight(gradient))
            if layer.biases is not None:
                torch.sum(g, 1, out=gradient[:, layer.biases])
            if layer is not self.layers[0]:
                g = torch.bmm(g, layer.weight(w))
        return gradient


def _parameters(model: nn.Module) -> list[Tensor]:
    """In the order of a row."""
    both: list[Tensor | None] = []
    for linear in dense.network_of(model).linears:
        both += [linear.weight, linear.bias]
    return [parameter for parameter in both if parameter is not None]


@final
class Examples:
    """The data of K runs; neighbours with the same data set share what is cut from it.

    Args:
        data: of every run; all of one length, where the tensors are to stand.
    """

    def __init__(self, data: Sequence[Dataset]) -> None:
        self.groups = [
            (same[0], len(same))
            for _, found in itertools.groupby(data, key=id)
            for same in [list(found)]
        ]
        self.runs = len(data)

    def __len__(self) -> int:
        return len(self.groups[0][0])

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """The mini-batch of every run.

        Args:
            indices: int64 ``[K, B]``, or ``[1, B]`` where all runs take the same.

        Returns:
            x ``[K, B, inputs]`` and y ``[K, B, ...]``; views of one batch where all take the same.
        """
        if len(self.groups) > 1:
            indices = indices.expand(self.runs, -1)
        xs, ys, at = [], [], 0
        for data, count in self.groups:
            own = indices[at : at + count]
            x, y = data.batch(own.flatten())
            xs.append(x.view(*own.shape, -1))
            ys.append(y.view(*own.shape, *y.shape[1:]))
            at += count
        x, y = (xs[0], ys[0]) if len(xs) == 1 else (torch.cat(xs), torch.cat(ys))
        return x.expand(self.runs, *x.shape[1:]), y.expand(self.runs, *y.shape[1:])


@final
@dataclass(frozen=True, eq=False)
class StackedRisk:
    """f of K runs as functions of w ``[K, d]``, each on its own mini-batch.

    A batch is int64 ``[K, B]``, or ``[1, B]`` where all runs take the same examples.
    """

    network: StackedNetwork
    loss: Loss
    data: Examples
    penalty: Penalty | None

    @cached_property
    def smooth(self) -> StackedRisk:
        """The same without the penalty."""
        return StackedRisk(self.network, self.loss, self.data, None)

    def mean_losses(self, w: Tensor, batch: Tensor) -> Tensor:
        """The mean loss of every mini-batch, ``[K]``, without the penalty."""
        totals, masses = [], []
        for x, y in self._cuts(batch):
            total, mass = self._summed(self.network.outputs(w, x), y)
            totals.append(total)
            masses.append(mass)
        return averaged(torch.stack(totals).sum(0), masses)

    def losses_and_gradients(self, w: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
        """The mean losses alone, and the gradients of f, penalties included."""
        totals, masses, gradients = [], [], []
        for x, y in self._cuts(batch):
            passes = self.network.forward(w, x)
            outputs = passes[-1].h.detach().requires_grad_()
            with torch.enable_grad():
                total, mass = self._summed(self.network.ended(outputs), y)
                (g,) = torch.autograd.grad(total.sum(), outputs)
            if batch.shape[1] <= self._chunk:
                g = averaged(g, [mass[:, None, None] if isinstance(mass, Tensor) else mass])
            gradients.append(self.network.backward(w, passes, g))
            totals.append(total.detach())
            masses.append(mass)
        losses = averaged(torch.stack(totals).sum(0), masses)
        gradient = gradients[0]
        if len(gradients) > 1:
            columns = [mass[:, None] if isinstance(mass, Tensor) else mass for mass in masses]
            gradient = averaged(torch.stack(gradients).sum(0), columns)
        if self.penalty is not None:
            gradient = gradient + self.penalty.gradient(w)
        return losses, gradient

    def judge(
        self, w: Tensor, part: Examples, scores: Sequence[Score | None] | None = None
    ) -> list[Judged]:
        """The mean loss and the accuracy of every run on a part of its data, and its score."""
        totals, masses = [], []
        scored = [k for k, score in enumerate(scores or ()) if score is not None]
        kept: list[tuple[Tensor, Tensor]] = []
        correct = torch.zeros(part.runs, dtype=torch.int64, device=w.device)
        has_classes = part.groups[0][0].classes is not None
        for outputs, y in self._outputs(w, part):
            total, mass = self._summed(outputs, y)
            totals.append(total.double())
            masses.append(mass)
            if scored:
                kept.append((outputs[scored], y[scored]))
            if has_classes:
                classes = y.argmax(2) if y.is_floating_point() else y
                correct += (outputs.argmax(2) == classes).sum(1)
        means = averaged(torch.stack(totals).sum(0), masses).tolist()
        shares = (correct.double() / len(part)).tolist() if has_classes else [None] * part.runs
        measured: list[float | None] = [None] * part.runs
        if scores is not None and scored:
            given, targets = (torch.cat(each, 1) for each in zip(*kept, strict=True))
            for k, *both in zip(scored, given, targets, strict=True):
                if (score := scores[k]) is not None:
                    measured[k] = score(*both)
        return [Judged(*each) for each in zip(means, shares, measured, strict=True)]

    def test(self, w: Tensor, part: Examples) -> list[Tested]:
        """The same, with what every example gives and adds to the mean loss of its run."""
        each_run = torch.vmap(partial(terms, self.loss))
        given = list(self._outputs(w, part))
        found = [each_run(outputs, y) for outputs, y in given]
        losses, masses = (torch.cat(both, 1).double().cpu() for both in zip(*found, strict=True))
        outputs = torch.cat([each for each, _ in given], 1).cpu()
        judged = self.judge(w, part)
        return [
            Tested(each.loss, each.accuracy, *own)
            for each, *own in zip(judged, losses, masses, outputs, strict=True)
        ]

    def _outputs(self, w: Tensor, part: Examples) -> Iterator[tuple[Tensor, Tensor]]:
        """Outputs and targets of a part of the data, in pieces of bounded size."""
        everything = torch.arange(len(part), device=w.device)[None]
        for indices in everything.split(self._chunk, dim=1):
            x, y = part.batch(indices)
            yield self.network.outputs(w, x), y

    @property
    def _chunk(self) -> int:
        return max(1, min(CHUNK, EXAMPLES // self.data.runs))

    def _cuts(self, batch: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """The batch in pieces of bounded size."""
        return map(self.data.batch, batch.split(self._chunk, dim=1))

    def _summed(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor | float]:
        """The losses of every run added up ``[K]``, and by what their mean divides."""

        def of_one(outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            total, mass = summed(self.loss, outputs, y)
            return total, total.new_full((), mass) if isinstance(mass, float | int) else mass

        total, mass = torch.vmap(of_one)(outputs, y)
        return total, 0.0 if self.loss.reduction == "sum" else mass


@dataclass
class FirstEvaluation:
    """The mean losses that came with the gradient of a step."""

    losses: Tensor = field(default_factory=lambda: torch.empty(0))


@final
class RecordedRisk:
    """The risks as a method sees them, remembering the losses of the step."""

    def __init__(self, risk: StackedRisk, first: FirstEvaluation) -> None:
        self.risk, self.first, self.penalty = risk, first, risk.penalty

    @property
    def smooth(self) -> RecordedRisk:
        """The risks without their penalties."""
        return RecordedRisk(self.risk.smooth, self.first)

    def gradient(self, w: Tensor, batch: Tensor) -> Tensor:
        """The gradients, ``[K, d]``."""
        self.first.losses, gradient = self.risk.losses_and_gradients(w, batch)
        return gradient
