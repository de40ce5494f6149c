"""Adam's two means in methods that look at a layer as a whole: what LAMB and Muon share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gradus.methods.adaptive import TwoMeans
from gradus.methods.layout import LayerWise, Layout
from gradus.methods.method import Point
from gradus.risk.tensors import zeros_like


class LayerMeans(TwoMeans, LayerWise):
    r"""Two means of gradients, forgetting, the step that Adam makes of them, and the layers of w.

    $$\begin{aligned}
    m &\leftarrow \beta_1 m + (1 - \beta_1) g, \qquad v \leftarrow \beta_2 v + (1 - \beta_2) g^2 \\
    a &= \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}
    \end{aligned}$$
    """

    @dataclass(frozen=True)
    class State(TwoMeans.State):
        """The number of steps taken, both means, and the layers of w."""

        layout: Layout | None = None

    def init(self, w: Point, layout: Layout | None = None) -> Any:
        """Both means 0."""
        return self.State(0, zeros_like(w), zeros_like(w), layout or Layout.of(w))

    def _means(self, g: Point, state: State) -> tuple[Point, Point, Point]:
        """m, v and a."""
        (b1, b2), t = self.betas, state.step + 1
        m = state.m.lerp(g, 1 - b1)
        v = b2 * state.v + (1 - b2) * g * g
        return m, v, m / (1 - b1**t) / ((v / (1 - b2**t)).sqrt() + self.eps)
