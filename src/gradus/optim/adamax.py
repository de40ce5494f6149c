"""Adam with the largest of past gradients, as an optimizer: Adamax."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

from gradus import methods
from gradus.methods.hyperparameters import Number
from gradus.optim.optimizer import MethodOptimizer


@final
class Adamax(MethodOptimizer):
    r"""Adamax: ``torch.optim.Adamax``.

    $$m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad
      u \leftarrow \max(\beta_2 u,\ |g| + \epsilon), \quad
      w \leftarrow w - \frac{\alpha_t}{1 - \beta_1^t} \cdot \frac{m}{u}$$

    The whole equation, with weight decay and ``maximize``, is that of
    :class:`gradus.methods.Adamax`. A step costs one gradient; it keeps two vectors as long as w.

    Args:
        params: parameters, or groups of them with options of their own.
        lr: $\alpha_t$.
        betas: $(\beta_1, \beta_2)$, each in [0, 1).
        eps: $\epsilon$.
        weight_decay: $\lambda$, added to the gradient.
        foreach: move all tensors at once, or one after the other (False).
        maximize: climb instead of descend.
        differentiable: let automatic differentiation see the step.
        capturable: never wait for the device.

    Raises:
        ValueError: an option is out of its range.
        TypeError: an option is no number, or a flag neither True nor False.
        RuntimeError: foreach and differentiable are both True; or, at the step, a gradient is
            sparse.

    Example:
        >>> import torch, gradus
        >>> w = torch.nn.Parameter(torch.tensor([2.0]))
        >>> optimizer = gradus.optim.Adamax([w], lr=0.5)
        >>> (w**2).sum().backward()
        >>> optimizer.step()
        >>> w.data
        tensor([1.5000])

    Source: torch.optim.Adamax; Kingma and Ba (2015), algorithm 2.
    """

    method = methods.Adamax
    state_class = methods.Adamax.State
    state_keys: ClassVar[Mapping[str, str]] = {"m": "exp_avg", "u": "exp_inf"}
    counts_steps = True

    def __init__(
        self,
        params: Any,
        lr: Number = 2e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, options)
