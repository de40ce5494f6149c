"""An optimizer's step in place: the C++ kernels on whole lists of tensors, in one pass."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from gradus import kernels
from gradus.methods.method import Method
from gradus.optim.rules import Obstacle, method_of

STATE_NAMES = {
    "descent": (),
    "polyak": ("previous",),
    "nesterov": ("iterate",),
    "sgd": ("buffer",),
    "sgd-nesterov": ("buffer",),
    "adam": ("m", "v"),
    "amsgrad": ("m", "v", "v_max"),
}
"""The vectors that each rule keeps from step to step, in the order in which kernels take them."""


class InPlaceUpdate:
    """The update of one method, its hyper-parameters fixed but for the learning rate."""

    def __init__(self, core: Any, variant: str, rule: dict[str, Any]) -> None:
        types = [Tensor, nn.Parameter]  # what derives from them may keep its numbers elsewhere
        exchange = Tensor.__dlpack_c_exchange_api__
        self._core = core.Mover(variant, core.Method(**rule), core.Penalty(), exchange, types)
        self.state_names: tuple[str, ...] = STATE_NAMES[rule["rule"]]

    def apply(
        self,
        columns: list[list[Tensor]],
        rate: float,
        *,
        ahead: float = 0.0,
        step: int = 0,
        steps: list[Tensor] | None = None,
    ) -> bool:
        """Take one step with every parameter; False where the kernels do not take these tensors.

        These are float32 or float64 tensors on the CPU, of one dtype, without gaps, each lying in
        memory as the others of its row do.

        Args:
            columns: w, the gradients, and the vectors of the state, each a list with one tensor for
                every parameter; after them, for Nesterov's, where to keep the iterate before.
            rate: the learning rate.
            ahead: by how much of the step the next query is ahead of the iterate.
            step: how many steps were taken before.
            steps: the same for every parameter, as tensors that then count one step more.
        """
        # DLPack does not tell that numbers stand for their negatives.
        if any(map(Tensor.is_neg, columns[0])) or any(map(Tensor.is_neg, columns[1])):
            return False
        threads = torch.get_num_threads()
        if not self._core.move(rate, ahead, step, threads, columns, steps):
            return False
        torch.autograd.graph.increment_version(columns[0])
        return True


def in_place_update_of(method: Method) -> InPlaceUpdate | None:
    """The update of a method by the kernels, or None where they do not know it."""
    core = kernels.core()
    if core is None or not hasattr(Tensor, "__dlpack_c_exchange_api__"):  # torch < 2.10
        return None
    try:
        rule = method_of(method)
    except Obstacle:
        return None
    return _cached(core, kernels.variant(), tuple(rule.items()))


@lru_cache
def _cached(core: Any, variant: str, rule: tuple[tuple[str, Any], ...]) -> InPlaceUpdate:
    return InPlaceUpdate(core, variant, dict(rule))
