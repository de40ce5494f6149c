"""What one chunk of the data adds to a matrix of second derivatives of a risk."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from gradus.risk.chunks import Mass, reduced, summed
from gradus.risk.curvature.functions import Matrix
from gradus.risk.curvature.matrix import Summand
from gradus.risk.curvature.outputs import (
    likelihood,
    output_empirical_fisher,
    output_fisher,
    output_hessian,
)
from gradus.risk.curvature.products import (
    Entries,
    OutputMatrix,
    Product,
    TwiceDifferentiable,
    gauss_newton_product,
    hessian_product,
    twice_differentiable,
)
from gradus.risk.losses import mean
from gradus.risk.precision import is_narrow, wide

ROWS = 16384
"""Rows of a matrix times examples that are evaluated at once: 32 MB in a layer of 512, float32."""

LossFunction = Callable[[Tensor, Tensor], Tensor]


def of_chunk(
    matrix: Matrix,
    model: Callable[[], Tensor],
    at: Callable[[], AbstractContextManager[object]],
    leaves: Entries,
    loss: LossFunction,
    y: Tensor,
    *,
    examples: int,
    alone: bool,
    plain: bool,
    create_graph: bool,
) -> Summand:
    """What a chunk adds to the matrix of a mean loss, before it is divided.

    Args:
        matrix: "hessian", "gauss-newton", "fisher" or "empirical-fisher".
        model: evaluates the model on the chunk.
        at: within it the model has the leaves for its parameters.
        leaves: the parameters.
        loss: of the output and y.
        y: the targets of the chunk.
        examples: how many there are.
        alone: whether there is no other chunk: any loss will do, undivided.
        plain: whether the model is built of torch's own modules alone.
        create_graph: whether products will be differentiated in the leaves.

    Raises:
        ValueError: the loss has no such matrix, or cannot be averaged over chunks.
    """
    with at(), twice_differentiable():
        with TwiceDifferentiable(leaves if plain and not create_graph else ()) as layers:
            output = model()
        if matrix == "hessian":
            value, mass = _reduced(loss, output, y, alone)
            product = hessian_product(value, leaves, layers, create_graph=create_graph)
        else:
            z = output if create_graph else output.detach().requires_grad_()
            output_matrix, mass = _output_matrix(matrix, loss, z, y, examples, alone)
            product = gauss_newton_product(
                output, leaves, output_matrix, layers, create_graph=create_graph
            )
    if not plain:
        product = _at(at, product)
    if any(is_narrow(leaf.dtype) for leaf in leaves):
        product = _of_mean(product, mass)
    return Summand(product, mass, rows=max(1, min(256, ROWS // examples)))


def _of_mean(product: Product, mass: Mass) -> Product:
    """The product with the matrix of a sum, by way of that of the mean, which float16 can hold."""
    if isinstance(mass, float) and mass == 0:  # a sum is what is asked for
        return product

    def there(v: Entries, *, stacked: bool = False, keep: bool = True) -> Entries:
        part = tuple(mean(entry, mass) for entry in v)
        return tuple(wide(entry) * mass for entry in product(part, stacked=stacked, keep=keep))

    return there


def _at(at: Callable[[], AbstractContextManager[object]], product: Product) -> Product:
    """The product, for which checkpoints in the model evaluate a part of it once more."""

    def there(v: Entries, *, stacked: bool = False, keep: bool = True) -> Entries:
        with at(), twice_differentiable():
            return product(v, stacked=stacked, keep=keep)

    return there


def _output_matrix(
    matrix: Matrix, loss: LossFunction, output: Tensor, y: Tensor, examples: int, alone: bool
) -> tuple[OutputMatrix, Mass]:
    """The matrix in the output of the model, and the mass of the chunk."""
    if matrix == "gauss-newton":
        value, mass = _reduced(loss, output, y, alone)
        return output_hessian(value, output, create_graph=output.grad_fn is not None), mass
    negative_log = likelihood(loss)
    total, mass = summed(negative_log, output, y)
    if matrix == "fisher":
        return output_fisher(negative_log, output, y), mass
    if output.shape[:1] != (examples,):
        raise ValueError(
            f"the model makes an output of shape {tuple(output.shape)} from {examples} examples; "
            "the empirical Fisher matrix needs one row per example"
        )
    (gradient,) = torch.autograd.grad(total, output, create_graph=True)
    return output_empirical_fisher(gradient), mass


def _reduced(loss: LossFunction, output: Tensor, y: Tensor, alone: bool) -> tuple[Tensor, Mass]:
    """The loss of a chunk and its mass; where there is no other, simply the loss."""
    return (reduced(loss, output, y), 0.0) if alone else summed(loss, output, y)
