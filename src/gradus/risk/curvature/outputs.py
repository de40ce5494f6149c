"""The matrix B in the output of the model, of Gauss-Newton and Fisher matrices $J^T B J$."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gradus.risk.curvature.products import OutputMatrix, backward
from gradus.risk.losses import (
    CrossEntropyLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    Loss,
    MSELoss,
    NLLLoss,
    PinballLoss,
    Weighted,
)


def output_hessian(value: Tensor, output: Tensor, *, create_graph: bool = False) -> OutputMatrix:
    """The Hessian of a loss in the output of the model."""
    (gradient,) = torch.autograd.grad(value, output, create_graph=True)

    def output_matrix(s: Tensor, stacked: bool) -> Tensor:
        return backward((gradient,), (output,), (s,), stacked=stacked, create_graph=create_graph)[0]

    return output_matrix


def output_fisher(loss: Loss, output: Tensor, y: Tensor) -> OutputMatrix:
    r"""The Fisher matrix of each output, where the loss is a negative log-likelihood.

    $$E_{y \sim p(\cdot \mid z)} \big[\nabla_z \ell \, \nabla_z \ell^\top\big] = \begin{cases}
      \mathrm{diag}(p) - p p^\top, \ p = \mathrm{softmax}(z) & \text{cross entropy} \\
      \mathrm{diag}(p), \ p = e^z & \text{NLL and KL, of log-probabilities z} \\
      2 I & \text{MSE: Gaussian of variance } 1/2 \\
      I & \text{L1: Laplace} \\
      \tau (1 - \tau) \, I & \text{pinball: asymmetric Laplace} \\
      P(|u| < \delta) \, I & \text{Huber: } u \text{ Gaussian, with the tails of Laplace}
      \end{cases}$$

    Ignored targets count as nothing.

    Raises:
        ValueError: class weights or label smoothing, with which the loss is no such likelihood.
    """
    if (factor := _of_one_number(loss)) is not None:
        return lambda s, stacked: s * factor
    if isinstance(loss, KLDivLoss):
        probability = output.exp()
        return lambda s, stacked: s * probability
    assert isinstance(loss, CrossEntropyLoss | NLLLoss)
    _require_likelihood(loss)
    axis = 0 if output.dim() == 1 else 1
    used: Tensor | float = 1.0
    if not y.is_floating_point():
        used = (y != loss.ignore_index).unsqueeze(axis)
    if isinstance(loss, NLLLoss):
        used_probability = output.exp() * used
        return lambda s, stacked: s * used_probability
    p, axis = output.softmax(axis), axis - output.dim()

    def output_matrix(s: Tensor, stacked: bool) -> Tensor:
        ps = p * s
        return (ps - p * ps.sum(axis, keepdim=True)) * used

    return output_matrix


def _of_one_number(loss: Loss) -> float | None:
    """The Fisher information of each number, where the outputs are numbers."""
    if isinstance(loss, MSELoss):
        return 2.0
    if isinstance(loss, L1Loss):
        return 1.0
    if isinstance(loss, PinballLoss):
        return loss.quantile * (1 - loss.quantile)
    if isinstance(loss, HuberLoss):
        # E[psi^2] = E[psi'] for a density exp(-rho), and psi' is 1 up to delta and 0 beyond.
        within = math.sqrt(2 * math.pi) * math.erf(loss.delta / math.sqrt(2))
        beyond = 2 * math.exp(-(loss.delta**2) / 2) / loss.delta
        return within / (within + beyond)
    return None


def _require_likelihood(loss: CrossEntropyLoss | NLLLoss) -> None:
    for name, given in (
        ("class weights", loss.weight is not None),
        ("label smoothing", getattr(loss, "label_smoothing", 0) > 0),
    ):
        if given:
            raise ValueError(
                f"with {name}, {type(loss).__name__} is no negative log-likelihood, and has no "
                "Fisher matrix: use the Gauss-Newton matrix, or the empirical Fisher matrix"
            )


def output_empirical_fisher(gradient: Tensor) -> OutputMatrix:
    r"""The matrix $g_i g_i^\top$ of each example, from the gradient ``[N, ...]`` in the output."""
    within = tuple(range(1 - gradient.dim(), 0))

    def output_matrix(s: Tensor, stacked: bool) -> Tensor:
        inner = gradient * s
        return gradient * (inner.sum(within, keepdim=True) if within else inner)

    return output_matrix


def likelihood(loss: object) -> Loss:
    """The loss of this package that says what each example contributes.

    Raises:
        ValueError: there is none.
    """
    if isinstance(loss, Weighted):
        raise ValueError(
            "the Fisher matrix of examples with weights is not known: use the Gauss-Newton matrix"
        )
    if isinstance(loss, Loss):
        return loss
    if type(loss) is nn.MSELoss:
        return MSELoss(reduction=loss.reduction)
    if type(loss) is nn.L1Loss:
        return L1Loss(reduction=loss.reduction)
    if type(loss) is nn.HuberLoss:
        return HuberLoss(loss.reduction, loss.delta)
    if type(loss) is nn.KLDivLoss:
        return KLDivLoss(reduction=loss.reduction, log_target=loss.log_target)
    if type(loss) is nn.NLLLoss:
        return NLLLoss(loss.weight, None, loss.ignore_index, None, loss.reduction)
    if type(loss) is nn.CrossEntropyLoss:
        return CrossEntropyLoss(
            loss.weight, None, loss.ignore_index, None, loss.reduction, loss.label_smoothing
        )
    name = getattr(loss, "__name__", type(loss).__name__)
    raise ValueError(
        "the Fisher matrix is known of MSELoss, L1Loss, HuberLoss, NLLLoss, CrossEntropyLoss and "
        f"KLDivLoss, not of {name}: use the Gauss-Newton matrix"
    )
