"""An optimizer's step in place: the C++ kernels on whole lists of tensors, in one pass.

Every operation is rounded as torch's own kernels round it, so that the result is that of the
equation on tensors, to the bit.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from gradus import kernels
from gradus.methods.method import Method
from gradus.optim.rounding import rounds_once, rounds_roots
from gradus.optim.rules import Obstacle, method_of

STATE_NAMES = {
    "descent": (),
    "polyak": ("previous",),
    "nesterov": ("iterate",),
    "sgd": ("buffer",),
    "sgd-nesterov": ("buffer",),
    "adam": ("m", "v"),
    "amsgrad": ("m", "v", "v_max"),
    "adagrad": ("sum",),
    "rmsprop": ("square_average",),
    "rmsprop-momentum": ("square_average", "buffer"),
    "rmsprop-centered": ("square_average", "gradient_average"),
    "rmsprop-centered-momentum": ("square_average", "gradient_average", "buffer"),
}
"""The vectors that each rule keeps from step to step, in the order in which kernels take them.

By the other rules they move no lists of tensors.
"""
TAKE_NO_ROOTS = ("descent", "polyak", "nesterov", "sgd", "sgd-nesterov")
"""The rules that divide by no square root."""


class InPlaceUpdate:
    """The update of one method, its hyper-parameters fixed but for the learning rate."""

    def __init__(
        self, core: Any, variant: str, rule: dict[str, Any], *, once: bool, asks_for_roots: bool
    ) -> None:
        types = [Tensor, nn.Parameter]  # what derives from them may keep its numbers elsewhere
        exchange = Tensor.__dlpack_c_exchange_api__
        self._core = core.InPlaceUpdate(
            variant, core.Method(**rule), once, asks_for_roots, exchange, types
        )
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
        if not self._core.apply(rate, ahead, step, threads, columns, steps):
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
    once = rounds_once()
    if once is None or rule["rule"] not in STATE_NAMES:
        return None
    asks_for_roots = (
        rule["rule"] not in TAKE_NO_ROOTS and kernels.takes_roots_of_torch() and not rounds_roots()
    )
    return _cached(core, kernels.variant(), once, asks_for_roots, tuple(rule.items()))


@lru_cache
def _cached(
    core: Any,
    variant: str,
    once: bool,
    asks_for_roots: bool,
    rule: tuple[tuple[str, Any], ...],
) -> InPlaceUpdate:
    return InPlaceUpdate(core, variant, dict(rule), once=once, asks_for_roots=asks_for_roots)
