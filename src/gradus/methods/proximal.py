"""Methods that take the penalty by its proximal step, not by its gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gradus.methods.hyperparameters import Number
from gradus.methods.method import Batch, FirstOrder, Method, Oracle, Point
from gradus.methods.schedules import LearningRate, learning_rate, require_learning_rate
from gradus.methods.wrapper import Wrapper
from gradus.risk.penalties import Penalty


@dataclass(frozen=True)
class Proximal(Wrapper[FirstOrder]):
    r"""A first-order method on the smooth part of f, then the proximal step of the penalty.

    $$\begin{aligned}
    g &= \nabla R(q_t; \xi_t) \quad\text{at the query } q_t \text{ of the method} \\
    w_{t+1} &= \mathrm{prox}_{\alpha_t \lambda \Omega} (w'), \quad
        w' \text{ what the method makes of } w_t \text{ and } g
    \end{aligned}$$

    Where the penalty is L1, entries of w become exactly zero, on mini-batches too; the gradient
    of the penalty would only make them small.

    The proximal step is the Euclidean one with the learning rate $\alpha_t$ of the method, whatever
    the method makes of the gradient. GradientDescent, Polyak and Nesterov so come to rest where f
    is least. Others weigh the gradient against the penalty in their own way: the buffer of SGD with
    momentum $\mu$ counts every gradient $1 / (1 - \mu)$ times, which leaves $(1 - \mu) \lambda$ of
    the penalty (with dampening $\mu$, all of it); after methods that scale each coordinate (Adam,
    AdamW, RMSprop, Adagrad) the penalty does not see their scales. A method that maximizes climbs
    the smooth part, and the penalty still pulls towards 0.

    Args:
        method: any first-order method; its learning rate is that of the proximal step.

    Raises:
        TypeError: the method is not a first-order method.
        ValueError: f has no penalty.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: ((w - torch.tensor([3.0, 0.2])) ** 2).sum() / 2
        >>> method = gradus.methods.Proximal(gradus.methods.Polyak(lr=0.5, beta=0.5))
        >>> path = gradus.minimize(
        ...     f, torch.ones(2), method, steps=60, penalty=gradus.penalties.L1(0.5)
        ... )
        >>> path.points[-1]
        tensor([2.5000, 0.0000])

    - Cost: that of the method within, and one prox.
    - Memory: as the method within.
    - Take it: exact zeros on mini-batches.
    - Leave it: the method within scales coordinates and the optimum itself matters.

    Source: Duchi and Singer (2009), "Efficient online and batch learning using forward backward
        splitting", equations (2)-(3), there for gradient steps.
    """

    def step(self, f: Oracle, w: Point, state: Any, batch: Batch = None) -> tuple[Point, Any]:
        """The method's step, then the proximal step."""
        penalty = _penalty_of(f, self)
        g = f.smooth.gradient(self.method.query(w, state.inner), batch)
        after, inner = self.method.update(w, g, state.inner)
        after = penalty.prox(after, learning_rate(self.lr, state.step))
        return after, self.State(state.step + 1, inner)


@dataclass(frozen=True)
class ProximalGradient(Method):
    r"""$$w_{t+1} = \mathrm{prox}_{\alpha_t \lambda \Omega} (q_t - \alpha_t \nabla R(q_t; \xi_t))$$

    A gradient step on the smooth part of f, then the proximal step of its penalty (for L1: ISTA),
    with $q_t = w_t$. Accelerated (FISTA), the gradient is taken ahead of w, with $w_{-1} = w_0$:

    $$\begin{aligned}
    \theta_0 &= 0, \qquad \theta_{t+1} = \frac{1 + \sqrt{1 + 4 \theta_t^2}}{2} \\
    q_t &= w_t + \frac{\theta_t - 1}{\theta_{t+1}} (w_t - w_{t-1})
    \end{aligned}$$

    Where R is convex with an L-Lipschitz gradient, $\alpha = 1 / L$ and $w_*$ a minimiser, after t
    steps $f(w_t) - f(w_*)$ is at most $L \|w_0 - w_*\|^2 / (2 t)$, and accelerated at most
    $2 L \|w_0 - w_*\|^2 / (t + 1)^2$. The accelerated path need not descend at every step.

    Args:
        lr: $\alpha_t$, a number >= 0 or a schedule; at most 1 / L for the bounds to hold.
        accelerated: take the gradient ahead of w (FISTA).

    Raises:
        ValueError: the learning rate is negative or not finite; f has no penalty.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: ((w - torch.tensor([3.0, 0.2])) ** 2).sum() / 2
        >>> method = gradus.methods.ProximalGradient(lr=1.0)
        >>> path = gradus.minimize(
        ...     f, torch.ones(2), method, steps=1, penalty=gradus.penalties.L1(0.5)
        ... )
        >>> path.points[-1]
        tensor([2.5000, 0.0000])

    - Cost: 1 gradient and one prox.
    - Memory: 0, 1 with ``accelerated``.
    - Take it: exact zeros, full batch.
    - Leave it: there is no penalty.

    Source: Beck and Teboulle (2009), "A fast iterative shrinkage-thresholding algorithm for linear
        inverse problems", equation (3.1) and theorem 3.1; accelerated: equations (4.1)-(4.3), with
        $\theta_t$ for their $t_k$, and theorem 4.4.
    """

    lr: LearningRate
    accelerated: bool = False

    @dataclass(frozen=True)
    class State:
        r"""The number of steps taken; accelerated, also w one step ago and $\theta_t$."""

        step: int
        previous: Point
        theta: Number

    def __post_init__(self) -> None:
        require_learning_rate(self.lr)

    def init(self, w: Point) -> State:
        r"""No step before the first: $w_{-1} = w_0$ and $\theta_0 = 0$."""
        return self.State(0, w if self.accelerated else None, 0.0)

    def step(self, f: Oracle, w: Point, state: State, batch: Batch = None) -> tuple[Point, State]:
        """The gradient step, then the proximal step."""
        penalty, alpha = _penalty_of(f, self), learning_rate(self.lr, state.step)
        query, theta = w, state.theta
        if self.accelerated:
            theta = (1 + (1 + 4 * state.theta**2) ** 0.5) / 2
            query = w + (state.theta - 1) / theta * (w - state.previous)
        after = penalty.prox(query - alpha * f.smooth.gradient(query, batch), alpha)
        return after, self.State(state.step + 1, w if self.accelerated else None, theta)


def _penalty_of(f: Oracle, method: Method) -> Penalty:
    """The penalty of f, which a proximal step needs."""
    if f.penalty is None:
        raise ValueError(
            f"{type(method).__name__} needs a penalty: "
            "EmpiricalRisk(..., penalty=...) or minimize(..., penalty=...)"
        )
    return f.penalty
