"""Every picture of the subject, by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Subject:
    """A picture of the subject.

    Attributes:
        name: of the picture and of its file.
        shows: what it explains.
        module: where its facts and its drawing stand; imported when they are asked for.
        moves: whether there is an animation of it.
    """

    name: str
    shows: str
    module: str = field(repr=False)
    moves: bool = False

    def facts(self) -> Any:
        """What the picture shows, as data."""
        if self.module == "paths":
            from gradus.figures.subject import landscapes, paths

            return paths.facts(landscapes.LANDSCAPES["ravine"])
        return self._module.facts()

    def draw(self, facts: Any) -> Figure:
        """The picture of the facts."""
        draw: Callable[[Any], Figure] = self._module.draw
        return draw(facts)

    def draw_until(self, facts: Any) -> Callable[[float], Figure]:
        """A function that draws the picture of a share of the facts, for animations."""
        return lambda share: self.draw(facts.until(share))

    @property
    def _module(self) -> Any:
        return importlib.import_module(f"gradus.figures.subject.{self.module}")


CATALOGUE: Final = {
    subject.name: subject
    for subject in (
        Subject("derivative", "secants turn into the tangent; the best ε", "derivative"),
        Subject("descent", "all, one or some examples a step", "descent", moves=True),
        Subject("variance", "the 1/B law of mini-batch gradients", "variance"),
        Subject("momentum", "which α and β converge, and how fast", "momentum", moves=True),
        Subject("polyak-nesterov", "two kinds of momentum", "polyak_nesterov", moves=True),
        Subject("newton", "digits that double", "newton", moves=True),
        Subject("adaptive", "six methods on one landscape", "paths", moves=True),
        Subject("regularization", "solutions as λ grows", "regularization"),
        Subject("losses", "each loss and its gradient", "losses"),
    )
}
