"""Adam whose denominator has not seen the gradient, as an optimizer: ADOPT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

from gradus import methods
from gradus.methods.hyperparameters import Number
from gradus.optim.optimizer import MethodOptimizer


@final
class ADOPT(MethodOptimizer):
    r"""ADOPT, under the options that AdamW has; torch has no such class.

    $$m \leftarrow \beta_1 m + (1 - \beta_1)\,
        \mathrm{clip}\!\left(\frac{g}{\max(\sqrt v, \epsilon)},\ (t - 1)^{1/4}\right), \quad
      w \leftarrow (1 - \alpha_t \lambda)\, w - \alpha_t m, \quad
      v \leftarrow \beta_2 v + (1 - \beta_2) g^2$$

    The whole equation, with its first step and ``maximize``, is that of
    :class:`gradus.methods.ADOPT`. A step costs one gradient; it keeps two vectors as long as w.

    Args:
        params: parameters, or groups of them with options of their own.
        lr: $\alpha_t$.
        betas: $(\beta_1, \beta_2)$, each in [0, 1).
        eps: $\epsilon$, the least denominator.
        weight_decay: $\lambda$.
        foreach: move all tensors at once, or one after the other (False).
        maximize: climb instead of descend.
        capturable: never wait for the device.
        differentiable: let automatic differentiation see the step.

    Raises:
        ValueError: an option is out of its range.
        TypeError: an option is no number, or a flag neither True nor False.
        RuntimeError: foreach and differentiable are both True; or, at the step, a gradient is
            sparse.

    Example:
        >>> import torch, gradus
        >>> w = torch.nn.Parameter(torch.tensor([2.0]))
        >>> optimizer = gradus.optim.ADOPT([w], lr=0.5)
        >>> (w**2).sum().backward()
        >>> optimizer.step()
        >>> w.data
        tensor([2.])

    Source: Taniguchi et al. (2024), algorithm 2, with clipping.
    """

    method = methods.ADOPT
    state_class = methods.ADOPT.State
    state_keys: ClassVar[Mapping[str, str]] = {"m": "exp_avg", "v": "exp_avg_sq"}
    counts_steps = True

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.9999),
        eps: float = 1e-6,
        weight_decay: float = 0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, options)
