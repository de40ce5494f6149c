"""Torch's fused kernels: a whole update in one pass over memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gradus import methods
from gradus.methods.method import FirstOrder
from gradus.optim.together import Together

Scaling = dict[str, Tensor | None]
"""``grad_scale`` and ``found_inf`` of torch's GradScaler, or None."""


def _sgd(method: Any, lists: Together, scaling: Scaling) -> None:
    w = lists.vectors["w"][0]
    is_first_step = bool(method.momentum) and "buffer" not in lists.vectors
    if is_first_step:
        skipped = scaling["found_inf"]
        if skipped is not None and skipped.item():
            return  # The buffer begins with the first gradient that is finite.
        lists.make_room(["buffer"])
    # On the CPU the kernel of torch 2.13 passes over float16 and bfloat16 numbers that fill a
    # vector register (pytorch issue 191763).
    is_low = w.device.type == "cpu" and w.dtype in (torch.float16, torch.bfloat16)
    vectors = lists.aligned(torch.float32 if is_low else w.dtype)
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
    lists.take_back(vectors)


def _adam(method: Any, lists: Together, scaling: Scaling) -> None:
    kernel = torch._fused_adamw_ if isinstance(method, methods.AdamW) else torch._fused_adam_
    beta1, beta2 = method.betas
    vectors = lists.aligned(lists.vectors["w"][0].dtype)
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
    lists.take_back(vectors)


def _adagrad(method: Any, lists: Together, scaling: Scaling) -> None:
    vectors = lists.aligned(lists.vectors["w"][0].dtype)
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
    lists.take_back(vectors)


KERNELS: dict[type[FirstOrder], Callable[[Any, Together, Scaling], None]] = {
    methods.SGD: _sgd,
    methods.Adam: _adam,
    methods.AdamW: _adam,
    methods.Adagrad: _adagrad,
}
"""The kernel of each method that has one."""
