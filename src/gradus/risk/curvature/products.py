"""How a matrix of second derivatives times a vector is made: by differentiating twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

Entries = tuple[Tensor, ...]


class Product(Protocol):
    """A matrix times a vector that is given as one tensor per parameter."""

    def __call__(self, v: Entries, *, stacked: bool = False, keep: bool = True) -> Entries:
        """The product with v; ``stacked``: with each vector along a new first dimension of v.

        The graph that it needs lasts for another product if ``keep``.
        """


OutputMatrix = Callable[[Tensor, bool], Tensor]
"""A matrix over the output of the model times a tensor of its form, or times a stack of them."""


class TwiceDifferentiable(TorchFunctionMode):
    r"""Takes part in the evaluation of a model that will be differentiated twice.

    Let $y = x W^\top + c$ be a linear layer and $\delta$ the gradient in y. A second backward pass
    asks the gradient $\delta^\top x$ in W only for its inner product with a direction V, which is
    $\langle \delta, x V^\top \rangle$: so the first pass may stop at $\delta$. In a chain of
    layers this makes 8 of the 9 matrix products of a layer that one Hessian times a vector costs,
    the evaluation and the gradient included; of a graph that is kept, each product costs 6 of them
    either way. Every other use of a parameter is left to automatic differentiation; one may well
    have both.

    That holds where nothing asks for a derivative, or for none, before the evaluation is over: a
    model of a user's own modules may, and is given no leaves (:func:`built_of_torch`).

    Args:
        leaves: the parameters as they are given to the model, or none to leave all linear layers
            to automatic differentiation.
    """

    def __init__(self, leaves: Entries) -> None:
        super().__init__()
        self.twins = tuple(leaf.detach().requires_grad_() for leaf in leaves)
        self.calls: list[LinearCall] = []
        self._index = {id(leaf): at for at, leaf in enumerate(leaves)}

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is nn.functional.linear:
            return self._linear(*args, **(kwargs or {}))
        if func is torch._weight_norm:
            # The second derivative of torch's own is wrong (2.13); this is its definition.
            return _weight_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _linear(self, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:  # noqa: A002
        at = self._index.get(id(weight))
        if at is None or weight.dim() != 2 or torch.is_autocast_enabled(input.device.type):
            return nn.functional.linear(input, weight, bias)
        bias_at = self._index.get(id(bias))
        if bias_at is not None:
            bias = self.twins[bias_at]
        output = nn.functional.linear(input, self.twins[at], bias)
        # The edge stays that of this layer, should a layer after it work in place.
        self.calls.append(LinearCall(input, get_gradient_edge(output), at, bias_at))
        return output


@contextmanager
def twice_differentiable(leaves: Entries = ()) -> Iterator[TwiceDifferentiable]:
    """Evaluate in here what will be differentiated twice, even where torch's own would not be.

    The leaves are as for :class:`TwiceDifferentiable`.
    """
    # No other attention has a second derivative.
    with TwiceDifferentiable(leaves) as layers, sdpa_kernel(SDPBackend.MATH):
        yield layers


def built_of_torch(model: nn.Module) -> bool:
    """Whether all modules are torch's own, and call nothing that a user gave: hook or function."""
    return all(
        type(module).__module__.startswith("torch.nn.modules.")
        and not any(getattr(module, name) for name in _HOOKS)
        and not any(callable(value) for value in vars(module).values())
        for module in model.modules()
    )


_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    return v * (g / torch.norm_except_dim(v, 2, dim))


class LinearCall(NamedTuple):
    """One evaluation of a linear layer: its input, its output, and which parameters it has."""

    input: Tensor
    output: GradientEdge
    weight: int
    bias: int | None

    def along(self, v: Entries, stacked: bool) -> Tensor:
        """The layer in the direction v: its output with V and c for parameters."""
        V, c = v[self.weight], None if self.bias is None else v[self.bias]
        if not stacked:
            return nn.functional.linear(self.input, V, c)
        output = torch.einsum("...i,koi->k...o", self.input, V)
        if c is None:
            return output
        return output + c.view(len(c), *[1] * (self.input.dim() - 1), -1)

    def back_along(self, delta: Tensor, v: Entries, stacked: bool) -> Tensor:
        """The gradient in the output, brought back to the input by V."""
        V = v[self.weight]
        return torch.einsum("...o,koi->k...i", delta, V) if stacked else delta @ V


class GradientGraph(NamedTuple):
    r"""A gradient g, ready to be differentiated along v.

    The derivative of $g^\top v$ is that of the sum of the inner products of these tensors with
    weights, which depend on v and are themselves held fixed.
    """

    tensors: Entries
    weights: Callable[[Entries, bool], Entries]


def gradient_graph(
    root: Tensor,
    leaves: Entries,
    layers: TwiceDifferentiable | None,
    weight: Tensor | None = None,
    *,
    with_inputs: bool = True,
) -> GradientGraph:
    """The gradient of a scalar in the leaves, or of an output in inner product with a weight.

    ``with_inputs`` tells that the inputs of the linear layers depend on what it will be
    differentiated in.
    """
    calls = layers.calls if layers else []
    if not root.requires_grad:
        return GradientGraph((), lambda v, stacked: ())
    within: Any = (*leaves, *(call.output for call in calls))
    found = torch.autograd.grad(root, within, weight, create_graph=True, allow_unused=True)
    whole = [(at, g) for at, g in enumerate(found[: len(leaves)]) if g is not None]
    deltas = found[len(leaves) :]
    in_layers = [(call, d) for call, d in zip(calls, deltas, strict=True) if d is not None]
    tensors = [g for _, g in whole] + [delta for _, delta in in_layers]
    moving = [(call, d) for call, d in in_layers if with_inputs and call.input.requires_grad]
    tensors += [call.input for call, _ in moving]

    def weights(v: Entries, stacked: bool) -> Entries:
        if not in_layers:
            return tuple(v[at] for at, _ in whole)
        with torch.no_grad():
            return (
                *(v[at] for at, _ in whole),
                *(call.along(v, stacked) for call, _ in in_layers),
                *(call.back_along(delta, v, stacked) for call, delta in moving),
            )

    return GradientGraph(tuple(tensors), weights)


def hessian_product(
    value: Tensor,
    leaves: Entries,
    layers: TwiceDifferentiable | None = None,
    *,
    create_graph: bool = False,
) -> Product:
    """The product with the Hessian of a value in these leaves: a second backward pass."""
    tensors, weights = gradient_graph(value, leaves, layers)

    def product(v: Entries, *, stacked: bool = False, keep: bool = True) -> Entries:
        if not tensors:
            return tuple(torch.zeros_like(entry) for entry in v)
        return backward(
            tensors,
            leaves,
            weights(v, stacked),
            layers,
            stacked=stacked,
            keep=keep,
            create_graph=create_graph,
        )

    return product


def gauss_newton_product(
    output: Tensor,
    leaves: Entries,
    output_matrix: OutputMatrix,
    layers: TwiceDifferentiable | None = None,
    *,
    create_graph: bool = False,
) -> Product:
    r"""The product with $J^\top B J$, where J is the Jacobian of the output in these leaves.

    J v takes no forward pass: $J^\top u$ is linear in u, and its derivative in u is $J$.
    """
    u = torch.zeros_like(output, requires_grad=True)
    tensors, weights = gradient_graph(output, leaves, layers, u, with_inputs=False)

    def product(v: Entries, *, stacked: bool = False, keep: bool = True) -> Entries:
        if not tensors:
            return tuple(torch.zeros_like(entry) for entry in v)
        (along,) = backward(
            tensors, (u,), weights(v, stacked), stacked=stacked, create_graph=create_graph
        )
        return backward(
            (output,),
            leaves,
            (output_matrix(along, stacked),),
            layers,
            stacked=stacked,
            keep=keep,
            create_graph=create_graph,
        )

    return product


def backward(
    outputs: Entries,
    inputs: Entries,
    weights: Entries,
    layers: TwiceDifferentiable | None = None,
    *,
    stacked: bool = False,
    keep: bool = True,
    create_graph: bool = False,
) -> Entries:
    """The gradient of the weighted sum of the outputs in the inputs, 0 where there is none.

    What linear layers make of the inputs counts too.
    """
    twins = layers.twins if layers else ()
    dependent = [(o, weight) for o, weight in zip(outputs, weights, strict=True) if o.requires_grad]
    found: Sequence[Tensor | None] = [None] * (len(inputs) + len(twins))
    if dependent:
        found = torch.autograd.grad(
            [output for output, _ in dependent],
            (*inputs, *twins),
            [weight for _, weight in dependent],
            retain_graph=keep or create_graph,
            create_graph=create_graph,
            allow_unused=True,
            is_grads_batched=stacked,
        )
    first = weights[0].shape[:1] if stacked else ()
    both = zip(found, found[len(inputs) :] if twins else [None] * len(inputs), strict=False)
    return tuple(_sum(a, b, entry, first) for (a, b), entry in zip(both, inputs, strict=True))


def _sum(a: Tensor | None, b: Tensor | None, like: Tensor, first: Sequence[int]) -> Tensor:
    found = [gradient for gradient in (a, b) if gradient is not None]
    if not found:
        return like.new_zeros(*first, *like.shape)
    return found[0] if len(found) == 1 else found[0] + found[1]
