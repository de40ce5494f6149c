r"""How large a learning rate may be where f bends: the limits of stability of methods.

Along an eigenvector of the Hessian with eigenvalue $\lambda$ a method is a linear recurrence. It
shrinks the error while $\alpha \lambda$ is below a limit that depends on the method alone.
"""

from __future__ import annotations

from typing import NamedTuple

from gradus import methods
from gradus.methods.method import Method


class Limit(NamedTuple):
    r"""A limit of stability.

    Attributes:
        value: what $\alpha \lambda$ has to stay below.
        method: for which method, in words.
        preconditioned: whether $\lambda$ is that of $P^{-1} \nabla^2 f$.
    """

    value: float
    method: str
    preconditioned: bool = False


def stability_limit(method: Method) -> Limit | None:
    r"""What $\alpha \lambda_{\max}$ has to stay below; None where a step is no such recurrence.

    $$\begin{aligned}
    \text{gradient descent} &: 2 & \text{Polyak} &: \frac{2 (1 + \beta)}{1 - \tau} &
    \text{Nesterov} &: \frac{2 (1 + \beta)}{1 + 2 \beta} &
    \text{Adam} &: \frac{2 (1 + \beta_1)}{1 - \beta_1}
    \end{aligned}$$

    Adam, RMSprop and Adagrad are such methods for the Hessian that their own denominator
    preconditions, as long as that changes slowly.

    Args:
        method: with its hyper-parameters.

    Example:
        >>> import gradus
        >>> from gradus.methods.stability import stability_limit
        >>> round(stability_limit(gradus.methods.SGD(0.1, momentum=0.9)).value, 3)
        3.8
        >>> round(stability_limit(gradus.methods.Adam()).value, 3)
        38.0
        >>> stability_limit(gradus.methods.Newton()) is None
        True

    Source: Polyak (1964); Goh (2017), "Why momentum really works"; Cohen et al. (2022), "Adaptive
        gradient methods at the edge of stability", equation (3).
    """
    if isinstance(method, methods.Proximal):
        method = method.method
    if getattr(method, "maximize", False):
        return None  # it climbs: no error shrinks along a direction of positive curvature
    match method:
        case methods.GradientDescent() | methods.ProximalGradient(accelerated=False):
            return Limit(2.0, "gradient descent")
        case methods.Polyak(beta=beta):
            return Limit(2 * (1 + float(beta)), f"momentum of {float(beta):g}")
        case methods.Nesterov(beta=beta):
            return Limit(_nesterov(float(beta)), f"Nesterov's momentum of {float(beta):g}")
        case methods.SGD(momentum=momentum, dampening=dampening):
            beta, tau = float(momentum), float(dampening)
            if beta == 0:
                return Limit(2.0, "gradient descent")
            if method.nesterov:
                return Limit(_nesterov(beta), f"Nesterov's momentum of {beta:g}")
            # Dampening shrinks what a gradient adds: a learning rate of (1 - tau) alpha.
            return Limit(2 * (1 + beta) / (1 - tau), f"momentum of {beta:g}") if tau < 1 else None
        case methods.Adam(betas=betas) | methods.AdamW(betas=betas):
            beta = float(betas[0])
            return Limit(2 * (1 + beta) / (1 - beta), f"Adam with β₁ = {beta:g}", True)
        case methods.Adagrad():
            return Limit(2.0, "Adagrad", True)
        case methods.RMSprop(momentum=momentum):
            beta = float(momentum)
            name = f"RMSprop with momentum {beta:g}" if beta else "RMSprop"
            return Limit(2 * (1 + beta), name, True)
    return None


def _nesterov(beta: float) -> float:
    return 2 * (1 + beta) / (1 + 2 * beta)
