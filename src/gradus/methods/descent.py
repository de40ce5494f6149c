"""The first method: a step against the gradient."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gradus.methods.method import GradientAtIterate, Point
from gradus.methods.schedules import LearningRate, learning_rate, require_learning_rate


@dataclass(frozen=True)
class GradientDescent(GradientAtIterate):
    r"""$$w_{t+1} = w_t - \alpha_t \nabla f(w_t; \xi_t)$$

    Gradient descent, stochastic gradient descent and mini-batch gradient descent are this one
    method under three samplings: all of D, one example drawn uniformly, B examples.

    Args:
        lr: $\alpha_t$, a number >= 0 or a schedule.

    Raises:
        ValueError: the learning rate is negative or not finite.

    Example:
        >>> import torch, gradus
        >>> f = lambda w: (w**2).sum()
        >>> method = gradus.methods.GradientDescent(lr=0.25)
        >>> gradus.minimize(f, torch.tensor([8.0]), method, steps=3).points.flatten()
        tensor([8., 4., 2., 1.])

    - Cost: 1 gradient.
    - Memory: 0.
    - Take it: as the baseline; when f must fall at every step.
    - Leave it: f is badly conditioned.

    Source: Cauchy (1847); Robbins and Monro (1951) for the stochastic form.
    """

    lr: LearningRate

    @dataclass(frozen=True)
    class State:
        """The number of steps taken."""

        step: int = 0

    def __post_init__(self) -> None:
        require_learning_rate(self.lr)

    def init(self, w: Point) -> State:
        """Step 0."""
        return self.State()

    def update(self, w: Point, g: Point, state: State) -> tuple[Point, State]:
        """A step against the gradient."""
        alpha = learning_rate(self.lr, state.step)
        return w - alpha * g, replace(state, step=state.step + 1)
