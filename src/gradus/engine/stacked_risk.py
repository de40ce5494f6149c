"""The empirical risks of K runs, evaluated at once: dense networks of one shape, as rows [K, d]."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from gradus.data.dataset import Dataset
from gradus.engine import dense
from gradus.engine.clipping import Clip
from gradus.engine.evaluate import terms
from gradus.engine.job import Judged, Tested
from gradus.engine.selection import Score
from gradus.engine.stacked_activations import Curve, curve_of
from gradus.risk.chunks import averaged, summed
from gradus.risk.examples import mean_weight_of
from gradus.risk.losses import Loss, weighted
from gradus.risk.penalties import Penalty

EXAMPLES = 2**17
"""How many examples, of all runs together, are evaluated at once: a bound on the memory."""

CHUNK = 4096
"""How many of one run are, at most."""


@final
@dataclass(frozen=True, eq=False)
class Entries:
    """Where a parameter lies in a row: in one of those that move, or in one of what is frozen."""

    place: slice
    shape: tuple[int, ...]
    frozen: Tensor | None
    """The rows ``[K, ...]`` in which it stands; None: in w."""

    def of(self, w: Tensor) -> Tensor:
        """That of all runs, ``[K, *shape]``: a view."""
        rows = w if self.frozen is None else self.frozen
        found: Tensor = rows[:, self.place].unflatten(1, self.shape)
        return found

    @property
    def moves(self) -> bool:
        """Whether it has a gradient."""
        return self.frozen is None


@final
@dataclass(frozen=True, eq=False)
class Layer:
    """Where a linear layer lies in a row, and what follows it."""

    weights: Entries
    biases: Entries | None
    activation: Curve

    def linear(self, w: Tensor, x: Tensor) -> Tensor:
        """``[K, B, inputs]`` to ``[K, B, outputs]``, before the activation."""
        weight = self.weights.of(w).transpose(1, 2)
        if self.biases is None:
            return torch.bmm(x, weight)
        return torch.baddbmm(self.biases.of(w).unsqueeze(1), x, weight)

    @property
    def moves(self) -> bool:
        """Whether any of its parameters does."""
        return self.weights.moves or (self.biases is not None and self.biases.moves)


class Pass(NamedTuple):
    """What a layer was given, what its linear part made of it, and what it gave."""

    x: Tensor
    z: Tensor
    h: Tensor


@final
class StackedNetwork:
    """K dense networks of one shape: a row of [K, d] holds what moves of one, in order.

    The gradient is written by hand, straight into its place in [K, d]; automatic differentiation
    would make a tensor of every layer first and copy them together.

    Args:
        network: any one of them.
        models: all of them, with parameters in the order of their layers.
        device: where they are computed.
        dtype: in which numbers.
    """

    def __init__(
        self,
        network: dense.Network,
        models: Sequence[nn.Module],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.models, self.device, self.dtype = models, device, dtype
        self.layers: list[Layer] = []
        self.log_softmax = network.log_softmax
        frozen = self._rows(moving=False)
        ends = {True: 0, False: 0}

        def entries(parameter: Tensor) -> Entries:
            moves = parameter.requires_grad
            place = slice(ends[moves], ends[moves] + parameter.numel())
            ends[moves] = place.stop
            return Entries(place, tuple(parameter.shape), None if moves else frozen)

        for linear, activation in zip(network.linears, network.activations, strict=True):
            weights = entries(linear.weight)
            biases = None if linear.bias is None else entries(linear.bias)
            self.layers.append(Layer(weights, biases, curve_of(activation)))

    def rows(self) -> Tensor:
        """Where the models stand, ``[K, d]``."""
        return self._rows(moving=True)

    def _rows(self, *, moving: bool) -> Tensor:
        size = sum(each.numel() for each in _parameters(self.models[0], moving=moving))
        rows = torch.empty(len(self.models), size, dtype=self.dtype)
        for row, model in zip(rows, self.models, strict=True):
            own = _parameters(model, moving=moving)
            if own:
                torch.cat([each.detach().cpu().to(self.dtype).flatten() for each in own], out=row)
        return rows.to(self.device)

    @staticmethod
    def assign(model: nn.Module, row: Tensor) -> None:
        """Bring a model to where its row stands."""
        parameters = _parameters(model, moving=True)
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
        lowest = next(layer for layer in self.layers if layer.moves)
        for layer, (x, z, h) in zip(reversed(self.layers), reversed(passes), strict=True):
            g = layer.activation.back(g, z, h)
            if layer.weights.moves:
                torch.bmm(g.transpose(1, 2), x, out=layer.weights.of(gradient))
            if layer.biases is not None and layer.biases.moves:
                torch.sum(g, 1, out=layer.biases.of(gradient))
            if layer is lowest:
                break
            g = torch.bmm(g, layer.weights.of(w))
        return gradient


def _parameters(model: nn.Module, *, moving: bool) -> list[Tensor]:
    """Those that move, or those that do not."""
    return [each for each in model.parameters() if each.requires_grad is moving]


class Batch(NamedTuple):
    """Examples of every run: views of one batch where all take the same."""

    x: Tensor
    """``[K, B, inputs]``."""
    y: Tensor
    """``[K, B, ...]``."""
    counts: Tensor | None
    """What each counts, ``[K, B]``; None where all count alike."""


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

    def batch(self, indices: Tensor) -> Batch:
        """The mini-batch of every run.

        Args:
            indices: int64 ``[K, B]``, or ``[1, B]`` where all runs take the same.
        """
        if len(self.groups) > 1:
            indices = indices.expand(self.runs, -1)
        xs, ys, counts, at = [], [], [], 0
        for data, count in self.groups:
            own = indices[at : at + count]
            x, y = data.batch(own.flatten())
            xs.append(x.view(*own.shape, -1))
            ys.append(y.view(*own.shape, *y.shape[1:]))
            if data.weights is not None:
                counts.append(data.weights[own])
            at += count

        def of_all(parts: list[Tensor]) -> Tensor:
            together = parts[0] if len(parts) == 1 else torch.cat(parts)
            return together.expand(self.runs, *together.shape[1:])

        return Batch(of_all(xs), of_all(ys), of_all(counts) if counts else None)


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
    clip: Clip | None = None
    """Of every run, with numbers ``[K, 1]``."""

    @cached_property
    def smooth(self) -> StackedRisk:
        """The same without the penalty."""
        return replace(self, penalty=None)

    def mean_losses(self, w: Tensor, batch: Tensor) -> Tensor:
        """The mean loss of every mini-batch, ``[K]``, without the penalty."""
        totals, masses = [], []
        for cut in self._cuts(batch):
            total, mass = self._summed(self.network.outputs(w, cut.x), cut, self._usual_weights)
            totals.append(total)
            masses.append(mass)
        return averaged(torch.stack(totals).sum(0), masses)

    def losses_and_gradients(self, w: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
        """The mean losses alone, and the gradients of f, penalties in them, clipped."""
        totals, masses, gradients = [], [], []
        for cut in self._cuts(batch):
            passes = self.network.forward(w, cut.x)
            outputs = passes[-1].h.detach().requires_grad_()
            with torch.enable_grad():
                total, mass = self._summed(self.network.ended(outputs), cut, self._usual_weights)
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
        return losses, gradient if self.clip is None else self.clip.rows(gradient)

    def judge(
        self, w: Tensor, part: Examples, scores: Sequence[Score | None] | None = None
    ) -> list[Judged]:
        """The mean loss and the accuracy of every run on a part of its data, and its score."""
        totals, masses = [], []
        scored = [k for k, score in enumerate(scores or ()) if score is not None]
        kept: list[tuple[Tensor, Tensor]] = []
        correct = torch.zeros(part.runs, dtype=torch.int64, device=w.device)
        has_classes = part.groups[0][0].classes is not None
        for outputs, cut in self._outputs(w, part):
            y = cut.y
            total, mass = self._summed(outputs, cut)
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
        found = []
        for outputs, (_, y, counts) in given:
            both = each_run(outputs, y)
            found.append(both if counts is None else tuple(each * counts for each in both))
        losses, masses = (torch.cat(both, 1).double().cpu() for both in zip(*found, strict=True))
        outputs = torch.cat([each for each, _ in given], 1).cpu()
        judged = self.judge(w, part)
        return [
            Tested(each.loss, each.accuracy, *own)
            for each, *own in zip(judged, losses, masses, outputs, strict=True)
        ]

    def _outputs(self, w: Tensor, part: Examples) -> Iterator[tuple[Tensor, Batch]]:
        """Outputs for a part of the data, in pieces of bounded size."""
        everything = torch.arange(len(part), device=w.device)[None]
        for indices in everything.split(self._chunk, dim=1):
            cut = part.batch(indices)
            yield self.network.outputs(w, cut.x), cut

    @property
    def _chunk(self) -> int:
        return max(1, min(CHUNK, EXAMPLES // self.data.runs))

    def _cuts(self, batch: Tensor) -> Iterator[Batch]:
        """The batch in pieces of bounded size."""
        return map(self.data.batch, batch.split(self._chunk, dim=1))

    @cached_property
    def _usual_weights(self) -> tuple[Tensor, ...]:
        """By what examples in the batches of each run are divided, ``[K]``, if not by theirs."""
        found = [(mean_weight_of(data, self.loss), runs) for data, runs in self.data.groups]
        means = [mean for mean, runs in found for _ in range(runs) if mean is not None]
        if len(means) < self.data.runs:
            return ()
        return (torch.tensor(means, dtype=torch.float64, device=self.data.groups[0][0].y.device),)

    def _summed(
        self, outputs: Tensor, cut: Batch, usual: tuple[Tensor, ...] = ()
    ) -> tuple[Tensor, Tensor | float]:
        """The losses of every run added up ``[K]``, and by what their mean divides."""

        def of_one(outputs: Tensor, y: Tensor, *counts: Tensor) -> tuple[Tensor, Tensor]:
            loss = weighted(self.loss, *(counts or [None]))
            total, mass = summed(loss, outputs, y)
            return total, total.new_full((), mass) if isinstance(mass, float | int) else mass

        counts = () if cut.counts is None else (cut.counts, *usual)
        total, mass = torch.vmap(of_one)(outputs, cut.y, *counts)
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
