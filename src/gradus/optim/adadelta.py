"""The method whose steps are measured in those before, as an optimizer: Adadelta."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

from gradus import methods
from gradus.methods.hyperparameters import Number
from gradus.optim.optimizer import MethodOptimizer


@final
class Adadelta(MethodOptimizer):
    r"""Adadelta: ``torch.optim.Adadelta``.

    $$v \leftarrow \rho v + (1 - \rho) g^2, \quad
      \Delta = \frac{\sqrt{u + \epsilon}}{\sqrt{v + \epsilon}}\, g, \quad
      u \leftarrow \rho u + (1 - \rho) \Delta^2, \quad w \leftarrow w - \alpha_t \Delta$$

    The whole equation, with weight decay and ``maximize``, is that of
    :class:`gradus.methods.Adadelta`. A step costs one gradient; it keeps two vectors as long as w.

    Args:
        params: parameters, or groups of them with options of their own.
        lr: $\alpha_t$.
        rho: $\rho$ in [0, 1), the weight of the past.
        eps: $\epsilon$, under both roots.
        weight_decay: $\lambda$, added to the gradient.
        foreach: move all tensors at once, or one after the other (False).
        capturable: never wait for the device.
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
        >>> optimizer = gradus.optim.Adadelta([w], rho=0.75, eps=0.01)
        >>> (w**2).sum().backward()
        >>> optimizer.step()
        >>> w.data
        tensor([1.8002])

    Source: torch.optim.Adadelta; Zeiler (2012).
    """

    method = methods.Adadelta
    state_class = methods.Adadelta.State
    state_keys: ClassVar[Mapping[str, str]] = {
        "square_average": "square_avg",
        "step_average": "acc_delta",
    }
    counts_steps = True

    def __init__(
        self,
        params: Any,
        lr: Number = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        options = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "capturable": capturable,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, options)
