"""A whole update in one pass over memory: by the C++ kernels, or by torch's fused ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gradus import methods
from gradus.methods.method import FirstOrder
from gradus.methods.precision import are_lost
from gradus.optim.inplace import InPlaceUpdate
from gradus.optim.tensor_lists import TensorLists
from gradus.risk.precision import is_narrow


def updated_in_place(
    update: InPlaceUpdate, method: Any, lists: TensorLists, *, maximize: bool
) -> bool:
    """Whether the C++ kernels took the step: else nothing has changed."""
    columns = [lists.vectors["w"], lists.vectors["gradient"]]
    fresh = {}
    for name in update.state_names:
        if name not in lists.vectors:  # the buffer of SGD, before its first step
            fresh[name] = lists.zeros()
        columns.append(fresh[name] if name in fresh else lists.vectors[name])
    if isinstance(method, methods.Nesterov):
        columns.append(lists.vectors["previous"])
    # Where the method has no direction of its own, -alpha g is alpha (-g), to the bit.
    has_direction = hasattr(method, "maximize")
    taken = update.apply(
        columns,
        -method.lr if maximize and not has_direction else method.lr,
        ahead=getattr(method, "beta", 0.0),
        step=0 if fresh else 1,
        steps=lists.steps or None,
    )
    if taken:
        for name, tensors in fresh.items():
            lists.add_state(name, tensors)
    return taken


Scaling = dict[str, Tensor | None]
"""``grad_scale`` and ``found_inf`` of torch's GradScaler, or None."""


def _aligned(lists: TensorLists, dtype: torch.dtype) -> dict[str, list[Tensor]]:
    """The vectors as torch's kernels take them: no lazy negatives, no zeros that lie nowhere."""
    return {
        name: list(map(_as_written, column)) for name, column in lists.for_kernel(dtype).items()
    }


def _as_written(tensor: Tensor) -> Tensor:
    if tensor._is_zerotensor():
        return torch.empty_like(tensor).copy_(tensor)
    return tensor.resolve_neg()


def _sgd(method: Any, lists: TensorLists, scaling: Scaling) -> None:
    w = lists.vectors["w"][0]
    is_first_step = bool(method.momentum) and "buffer" not in lists.vectors
    if is_first_step:
        skipped = scaling["found_inf"]
        if skipped is not None and skipped.item():
            return  # The buffer begins with the first gradient that is finite.
        lists.add_state("buffer", lists.zeros())
    # On the CPU the kernel of torch 2.13 passes over float16 and bfloat16 numbers that fill a
    # vector register (pytorch issue 191763).
    skips = w.device.type == "cpu" and is_narrow(w.dtype)
    vectors = _aligned(lists, torch.float32 if skips else w.dtype)
    torch._fused_sgd_(
        vectors["w"],
        vectors["gradient"],
        vectors["buffer"] if method.momentum else [],
        lr=method.lr,
        momentum=method.momentum,
        dampening=method.dampening,
        weight_decay=method.weight_decay,
        nesterov=method.nesterov,
        maximize=method.maximize,
        is_first_step=is_first_step,
        **scaling,
    )
    lists.copy_back(vectors)


def _adam(method: Any, lists: TensorLists, scaling: Scaling) -> None:
    kernel = torch._fused_adamw_ if isinstance(method, methods.AdamW) else torch._fused_adam_
    beta1, beta2 = method.betas
    vectors = _aligned(lists, lists.vectors["w"][0].dtype)
    kernel(
        vectors["w"],
        vectors["gradient"],
        vectors["m"],
        vectors["v"],
        vectors["v_max"] if method.amsgrad else [],
        lists.steps,
        lr=method.lr,
        beta1=float(beta1),
        beta2=float(beta2),
        weight_decay=method.weight_decay,
        eps=method.eps,
        amsgrad=method.amsgrad,
        maximize=method.maximize,
        **scaling,
    )
    lists.copy_back(vectors)


def _adagrad(method: Any, lists: TensorLists, scaling: Scaling) -> None:
    w = lists.vectors["w"][0]
    # On the CPU the kernel of torch 2.13 rounds eps to float16, where numbers fill a register.
    loses_eps = w.device.type == "cpu" and are_lost(w, method.eps)
    vectors = _aligned(lists, torch.float32 if loses_eps else w.dtype)
    torch._fused_adagrad_(
        vectors["w"],
        vectors["gradient"],
        vectors["sum"],
        lists.steps,
        lr=method.lr,
        lr_decay=method.lr_decay,
        weight_decay=method.weight_decay,
        eps=method.eps,
        maximize=method.maximize,
        **scaling,
    )
    lists.copy_back(vectors)


KERNELS: dict[type[FirstOrder], Callable[[Any, TensorLists, Scaling], None]] = {
    methods.SGD: _sgd,
    methods.Adam: _adam,
    methods.AdamW: _adam,
    methods.Adagrad: _adagrad,
}
"""Torch's kernel of each method that has one."""
