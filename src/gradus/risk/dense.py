"""What are the matrices of second derivatives by definition: slow, for all else to be checked by.

Each function forms everything that its definition names: the Jacobian of the whole output, the
gradient of every example, the outcome of every target that could be drawn. Nothing is cut into
chunks, and nothing is shared with :mod:`gradus.risk.curvature` but the model, the loss, the
penalty, how a model is evaluated at w, and how torch is made to differentiate every layer twice.
For models of at most some hundred parameters.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from torch import Tensor

from gradus.risk.curvature.products import twice_differentiable
from gradus.risk.empirical import EmpiricalRisk
from gradus.risk.examples import Batch
from gradus.risk.losses import (
    CrossEntropyLoss,
    HuberLoss,
    KLDivLoss,
    Loss,
    MSELoss,
    NLLLoss,
    PinballLoss,
)
from gradus.risk.substitution import substituted


def hessian(risk: EmpiricalRisk, w: Tensor, batch: Batch | None = None) -> Tensor:
    r"""The Hessian of f at w, ``[d, d]``.

    $$\big(\nabla^2 f(w)\big)_{ij} = \frac{\partial^2 f}{\partial w_i \partial w_j}(w)$$

    Args:
        risk: f.
        w: the point ``[d]``.
        batch: the batch, or None for the whole data.

    Example:
        >>> import gradus, torch
        >>> from gradus.risk import dense
        >>> x, y = torch.tensor([[1.0], [3.0]]), torch.zeros(2, 1)
        >>> model = torch.nn.Linear(1, 1, bias=False)
        >>> risk = gradus.EmpiricalRisk(model, gradus.MSELoss(), (x, y))
        >>> dense.hessian(risk, torch.ones(1))
        tensor([[10.]])
    """
    x, y = _examples(risk, batch)

    with _model_at(risk) as output:
        H = _second_derivative(lambda u: risk.loss(output(u, x), y), w)
    return H + _of_the_penalty(risk, w)


def gauss_newton(risk: EmpiricalRisk, w: Tensor, batch: Batch | None = None) -> Tensor:
    r"""The Gauss-Newton matrix of f at w, ``[d, d]``.

    $$G = J^\top B J + \nabla^2 \lambda\,\Omega(w), \qquad
      J = \frac{\partial z}{\partial w}, \quad B = \frac{\partial^2 R}{\partial z^2}$$

    where z is the output on all examples, in one vector, and R the mean loss as its function.

    Args:
        risk: f.
        w: the point ``[d]``.
        batch: the batch, or None for the whole data.

    Source: Schraudolph (2002), "Fast curvature matrix-vector products for second-order gradient
        descent".
    """
    x, y = _examples(risk, batch)
    z = _output(risk, w, x)
    with _model_at(risk) as output:
        jacobian: Tensor = torch.autograd.functional.jacobian(lambda u: output(u, x), w)
    J = jacobian.flatten(0, -2)
    B = _second_derivative(lambda flat: risk.loss(flat.view(z.shape), y), z.flatten())
    G: Tensor = J.T @ B @ J
    return G + _of_the_penalty(risk, w)


def fisher(risk: EmpiricalRisk, w: Tensor, batch: Batch | None = None) -> Tensor:
    r"""The Fisher matrix of f at w, ``[d, d]``.

    $$F = \frac{1}{m} \sum_{i=1}^{N} \sum_y p(y \mid z_i) \, g_i(y) \, g_i(y)^\top
      + \nabla^2 \lambda\,\Omega(w), \qquad g_i(y) = \nabla_w\, \ell(h_w(x_i), y)$$

    over all targets y that an example can have: every class; of numbers every corner
    $z_i \pm \sigma$ of the cube around the output, which has the moments of the distribution that
    count ($\sigma^2 = 1/2$ for MSE, any for L1). m is what the mean of the loss divides by.

    Args:
        risk: f, with outputs ``[N, C]`` and a loss of this package that is a likelihood.
        w: the point ``[d]``.
        batch: the batch, or None for the whole data.

    Source: Amari (1998), "Natural gradient works efficiently in learning".
    """
    x, y = _examples(risk, batch)
    loss = risk.loss
    assert isinstance(loss, Loss)
    z = _output(risk, w, x).detach()
    classes = z.shape[1]
    total = torch.zeros(len(w), len(w), dtype=w.dtype)
    drawn: Loss = loss
    if isinstance(loss, CrossEntropyLoss | NLLLoss):
        drawn = type(loss)()  # the model can draw the class that the data may not use
    for i in range(len(x)):
        if isinstance(loss, CrossEntropyLoss | NLLLoss):
            if not y.is_floating_point() and y[i] == loss.ignore_index:
                continue
            p = z[i].softmax(0) if isinstance(loss, CrossEntropyLoss) else z[i].exp()
            outcomes = [(p[c], torch.tensor([c])) for c in range(classes)]
        elif isinstance(loss, KLDivLoss):
            one_hot = torch.eye(classes, dtype=w.dtype)
            if loss.log_target:
                one_hot = one_hot.log()
            outcomes = [(z[i, c].exp(), one_hot[c : c + 1]) for c in range(classes)]
        else:
            corners = itertools.product(_errors(loss), repeat=classes)
            pairs = [zip(*corner, strict=True) for corner in corners]
            outcomes = [(z.new_tensor(p).prod(), z[i : i + 1] + z.new_tensor(u)) for u, p in pairs]
        for probability, outcome in outcomes:
            g = _gradient_of_one(risk, drawn, w, x[i : i + 1], outcome)
            total += probability * torch.outer(g, g)
    return total / _mass(loss, z, y) + _of_the_penalty(risk, w)


def empirical_fisher(risk: EmpiricalRisk, w: Tensor, batch: Batch | None = None) -> Tensor:
    r"""The empirical Fisher matrix of f at w, ``[d, d]``.

    $$\frac{1}{m} \sum_{i=1}^{N} g_i \, g_i^\top + \nabla^2 \lambda\,\Omega(w), \qquad
      g_i = \nabla_w\, \ell(h_w(x_i), y_i)$$

    where $\ell$ is the sum of the terms of the loss that the example contributes.

    Args:
        risk: f, with a loss of this package.
        w: the point ``[d]``.
        batch: the batch, or None for the whole data.

    Source: Kunstner, Balles, Hennig (2019), "Limitations of the empirical Fisher approximation".
    """
    x, y = _examples(risk, batch)
    loss = risk.loss
    assert isinstance(loss, Loss)
    each = range(len(x))
    g = torch.stack([_gradient_of_one(risk, loss, w, x[i : i + 1], y[i : i + 1]) for i in each])
    return g.T @ g / _mass(loss, _output(risk, w, x), y) + _of_the_penalty(risk, w)


def _errors(loss: Loss) -> tuple[tuple[float, float], tuple[float, float]]:
    """Two errors of one number with probabilities, so that the gradient has its moments."""
    if isinstance(loss, PinballLoss):
        return (-1.0, loss.quantile), (1.0, 1 - loss.quantile)
    far = 1.0
    if isinstance(loss, MSELoss):
        far = 0.5**0.5
    if isinstance(loss, HuberLoss):
        nodes, weights = np.polynomial.legendre.leggauss(64)
        u = loss.delta * (nodes + 1) / 2
        density = loss.delta / 2 * weights * np.exp(-(u**2) / 2)
        tail = math.exp(-(loss.delta**2) / 2) / loss.delta
        far = ((density @ u**2 + tail * loss.delta**2) / (density.sum() + tail)) ** 0.5
    return (-far, 0.5), (far, 0.5)


def _examples(risk: EmpiricalRisk, batch: Batch | None) -> tuple[Tensor, Tensor]:
    return (
        batch
        if isinstance(batch, tuple)
        else risk.data.batch(slice(None) if batch is None else batch)
    )


def _output(risk: EmpiricalRisk, w: Tensor, x: Tensor) -> Tensor:
    with _model_at(risk) as output:
        return output(w, x)


@contextmanager
def _model_at(risk: EmpiricalRisk) -> Iterator[Callable[[Tensor, Tensor], Tensor]]:
    """The output at any w, where the model stays to the end for all derivatives in w."""
    with ExitStack() as stack:

        def output(w: Tensor, x: Tensor) -> Tensor:
            stack.enter_context(substituted(risk.model, _named(risk, w), copy_buffers=True))
            evaluated: Tensor = risk.model(x)
            return evaluated

        stack.enter_context(twice_differentiable())
        yield output


def _named(risk: EmpiricalRisk, w: Tensor) -> dict[str, Tensor]:
    named = {}
    start = 0
    for name, parameter in risk.model.named_parameters():
        if parameter.requires_grad:
            end = start + parameter.numel()
            named[name] = w[start:end].view(parameter.shape)
            start = end
    return named


def _second_derivative(value: Callable[[Tensor], Tensor], w: Tensor) -> Tensor:
    second: Tensor = torch.autograd.functional.hessian(value, w)
    return second


def _of_the_penalty(risk: EmpiricalRisk, w: Tensor) -> Tensor:
    if risk.penalty is None:
        return torch.zeros(len(w), len(w), dtype=w.dtype)
    return _second_derivative(risk.penalty.value, w)


def _gradient_of_one(risk: EmpiricalRisk, loss: Loss, w: Tensor, x: Tensor, y: Tensor) -> Tensor:
    u = w.detach().requires_grad_()
    with _model_at(risk) as output:
        (g,) = torch.autograd.grad(loss.terms(output(u, x), y).values.sum(), u)
    return g


def _mass(loss: Loss, z: Tensor, y: Tensor) -> Tensor | float:
    return 1.0 if loss.reduction == "sum" else loss.terms(z, y).mass
