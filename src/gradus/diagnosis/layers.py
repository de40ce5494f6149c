"""What the layers of a model give, and what gradients reach them, where a run stood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gradus.data.dataset import Dataset
from gradus.engine.job import Job

BOUNDED = (nn.Sigmoid, nn.Tanh, nn.Softsign, nn.Hardtanh, nn.Hardsigmoid)
"""Activations with two flat ends."""

ONE_SIDED = (nn.ReLU, nn.ReLU6)
"""Activations with one flat end, at 0."""

ACTIVATIONS = (*BOUNDED, *ONE_SIDED, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Softplus, nn.SELU)

WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Layers whose parameters are drawn, by a rule that their widths say."""

FLAT = 0.02
"""A bounded activation is at a flat end where its slope is below this share of its largest."""


@dataclass(frozen=True)
class Activation:
    """What an activation gives for the examples of a sample.

    Attributes:
        name: of the module.
        kind: its class.
        silent: the share of its units that give 0, or stand at one flat end, for nearly all
            examples.
    """

    name: str
    kind: str
    silent: float


@dataclass(frozen=True)
class Layer:
    """A layer with parameters of its own.

    Attributes:
        name: of the module.
        variance: of what it gives, over examples and units.
        ratio: the norm of the gradient of its weights over that of the weights.
        constant: whether all its weights are one number: its units cannot become different.
    """

    name: str
    variance: float
    ratio: float
    constant: bool


def activations_of(model: nn.Module, data: Dataset) -> tuple[Activation, ...]:
    """The activations of a model that are modules, in the order in which they are called."""
    seen: dict[str, Tensor] = {}
    with torch.no_grad():
        _called(model, data, ACTIVATIONS, seen)
    kinds = dict(model.named_modules())
    return tuple(
        Activation(name, type(kinds[name]).__name__, _silent(kinds[name], given))
        for name, given in seen.items()
    )


def layers_of(model: nn.Module, job: Job, data: Dataset) -> tuple[Layer, ...]:
    """The layers of a model with weights, in the order in which they are called."""
    seen: dict[str, Tensor] = {}
    output, y = _called(model, data, WEIGHTED, seen)
    kinds = dict(model.named_modules())
    weights: list[Any] = [kinds[name].weight for name in seen]
    loss: Tensor = job.loss.cpu()(output, y)
    moving = [weight for weight in weights if weight.requires_grad]
    taken = torch.autograd.grad(loss, moving, allow_unused=True) if moving else ()
    gradients = dict(zip(map(id, moving), taken, strict=True))
    found = []
    for (name, given), weight in zip(seen.items(), weights, strict=True):
        g = gradients.get(id(weight))
        size = float(weight.detach().double().norm())
        ratio = 0.0 if g is None else float(g.double().norm()) / max(size, 1e-30)
        same = bool((weight == weight.flatten()[0]).all()) and len(weight) > 1
        found.append(Layer(name, float(given.detach().double().var()), ratio, same))
    return tuple(found)


def _called(
    model: nn.Module, data: Dataset, kinds: tuple[type[nn.Module], ...], seen: dict[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """The output for a sample, with what modules of these kinds give kept on the way."""
    handles = []
    for name, module in model.named_modules():
        if isinstance(module, kinds):

            def keep(_: Any, __: Any, given: Tensor, name: str = name) -> None:
                seen[name] = given

            handles.append(module.register_forward_hook(keep))
    try:
        x, y = data.batch()
        return model(x), y
    finally:
        for handle in handles:
            handle.remove()


def _silent(module: nn.Module, given: Tensor) -> float:
    """The share of units at a flat end for nearly all examples; a channel of images is a unit."""
    units = given.movedim(1, -1).flatten(0, -2) if given.ndim > 2 else given
    if units.ndim != 2:
        return 0.0
    if isinstance(module, ONE_SIDED):
        return float((units <= 0).all(dim=0).double().mean())
    if isinstance(module, BOUNDED):
        low, high = _ends(module)
        width = FLAT / 4 * (high - low)
        flat = (units < low + width) | (units > high - width)
        return float((flat.double().mean(dim=0) > 0.95).double().mean())
    return 0.0


def _ends(module: nn.Module) -> tuple[float, float]:
    if isinstance(module, nn.Hardtanh):
        return module.min_val, module.max_val
    return (0.0, 1.0) if isinstance(module, nn.Sigmoid | nn.Hardsigmoid) else (-1.0, 1.0)


def redrawn(model: nn.Module, seed: int) -> None:
    r"""Draw the parameters anew: weights of variance 2 / n before a ReLU, 1 / n else, biases 0.

    n is the number of inputs of a unit. Norms and what else has a rule of its own follow that.

    Source: Glorot, Bengio (2010); He et al. (2015), equation (10).
    """
    kinds = (*ONE_SIDED, nn.LeakyReLU, nn.GELU, nn.SiLU)
    one_sided = any(isinstance(module, kinds) for module in model.modules())
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        last = [m for m in model.modules() if isinstance(m, WEIGHTED)][-1:]
        for module in model.modules():
            if isinstance(module, WEIGHTED):
                gain = 1.0 if module in last or not one_sided else 2.0
                deviation = (gain / module.weight[0].numel()) ** 0.5
                with torch.no_grad():
                    module.weight.normal_(0.0, deviation)
                    if module.bias is not None:
                        module.bias.zero_()
            elif isinstance(module, nn.MultiheadAttention):
                module._reset_parameters()
            elif callable(getattr(module, "reset_parameters", None)):
                module.reset_parameters()  # type: ignore[operator]


def with_modules(model: nn.Module, kinds: tuple[type[nn.Module], ...], make: Any) -> nn.Module:
    """The same model with a new module in the place of each of these kinds; it is changed."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, kinds):
                setattr(parent, name, make())
    return model


def chain_of(model: nn.Module) -> list[nn.Module] | None:
    """The layers of nested Sequentials in the order in which they are called; None of another."""
    if type(model) is not nn.Sequential:
        return None
    layers: list[nn.Module] = []
    for child in model:
        layers += chain_of(child) or [child]
    return layers


def chained(layers: Sequence[nn.Module], like: nn.Module) -> nn.Module:
    """A Sequential of these layers, of the dtype of another."""
    dtype = next(like.parameters()).dtype
    return nn.Sequential(*layers).to(dtype)
