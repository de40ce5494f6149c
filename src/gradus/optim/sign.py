"""The method that moves every coordinate by the same length, as an optimizer: Lion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

from gradus import methods
from gradus.methods.hyperparameters import Number
from gradus.optim.optimizer import MethodOptimizer


@final
class Lion(MethodOptimizer):
    r"""Lion, under the options that AdamW has; torch has no such class.

    $$w \leftarrow (1 - \alpha_t \lambda)\, w
        - \alpha_t\, \mathrm{sign}(\beta_1 m + (1 - \beta_1) g), \qquad
      m \leftarrow \beta_2 m + (1 - \beta_2) g$$

    The whole equation, with ``maximize``, is that of
    :class:`gradus.methods.Lion`. A step costs one gradient; it keeps one vector as long as w.

    Args:
        params: parameters, or groups of them with options of their own.
        lr: $\alpha_t$.
        betas: $(\beta_1, \beta_2)$, each in [0, 1).
        weight_decay: $\lambda$.
        foreach: move all tensors at once, or one after the other (False).
        maximize: climb instead of descend.
        differentiable: let automatic differentiation see the step.

    Raises:
        ValueError: an option is out of its range.
        TypeError: an option is no number, or a flag neither True nor False.
        RuntimeError: foreach and differentiable are both True; or, at the step, a gradient is
            sparse.

    Example:
        >>> import torch, gradus
        >>> w = torch.nn.Parameter(torch.tensor([2.0]))
        >>> optimizer = gradus.optim.Lion([w], lr=0.5)
        >>> (w**2).sum().backward()
        >>> optimizer.step()
        >>> w.data
        tensor([1.5000])

    Source: Chen et al. (2023), program 1 and algorithm 2.
    """

    method = methods.Lion
    state_class = methods.Lion.State
    state_keys: ClassVar[Mapping[str, str]] = {"m": "exp_avg"}
    counts_steps = False

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-4,
        betas: tuple[Number, Number] = (0.9, 0.99),
        weight_decay: float = 0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, options)
