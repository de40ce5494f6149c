"""Methods that adapt to each coordinate by its mean gradients, as optimizers: Adam, AdamW."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

from gradus import methods
from gradus.methods.hyperparameters import Number
from gradus.optim.optimizer import MethodOptimizer


class AdaptiveMoments(MethodOptimizer):
    """What Adam and AdamW share: which of the two a group follows is an option of the group."""

    method = methods.Adam
    decoupled = methods.AdamW
    state_class = methods.Adam.State
    state_keys: ClassVar[Mapping[str, str]] = {
        "m": "exp_avg",
        "v": "exp_avg_sq",
        "v_max": "max_exp_avg_sq",
    }
    counts_steps = True


@final
class Adam(AdaptiveMoments):
    r"""Adam: ``torch.optim.Adam``.

    $$m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad v \leftarrow \beta_2 v + (1 - \beta_2) g^2,
      \quad w \leftarrow w - \frac{\alpha_t}{1 - \beta_1^t} \cdot
        \frac{m}{\sqrt{v} / \sqrt{1 - \beta_2^t} + \epsilon}$$

    The whole equation, with weight decay, AMSGrad and ``maximize``, is that of
    :class:`gradus.methods.Adam`. A step costs one gradient; it keeps two vectors as long as w,
    three with AMSGrad.

    Args:
        params: parameters, or groups of them with options of their own.
        lr: $\alpha_t$.
        betas: $(\beta_1, \beta_2)$, each in [0, 1).
        eps: $\epsilon$.
        weight_decay: $\lambda$, added to the gradient.
        amsgrad: use the running maximum of v.
        foreach: move all tensors at once, or one after the other (False).
        maximize: climb instead of descend.
        capturable: never wait for the device.
        differentiable: let automatic differentiation see the step.
        fused: one pass over memory.
        decoupled_weight_decay: decay as :class:`AdamW` does.

    Raises:
        ValueError: an option is out of its range.
        TypeError: an option is no number, or a flag neither True nor False.
        RuntimeError: two of foreach, fused and differentiable are True; or, at the step, a
            gradient is sparse.

    Example:
        >>> import torch, gradus
        >>> w = torch.nn.Parameter(torch.tensor([2.0]))
        >>> optimizer = gradus.optim.Adam([w], lr=0.5)
        >>> (w**2).sum().backward()
        >>> optimizer.step()
        >>> w.data
        tensor([1.5000])

    Source: torch.optim.Adam; Kingma and Ba (2015); Reddi, Kale, Kumar (2018) for AMSGrad.
    """

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, options)


@final
class AdamW(AdaptiveMoments):
    r"""Adam with weight decay apart from the gradient: ``torch.optim.AdamW``.

    $$w \leftarrow (1 - \alpha_t \lambda)\, w, \quad\text{then Adam's step without decay}$$

    The whole equation is that of :class:`gradus.methods.AdamW`; cost and memory are those of
    :class:`Adam`.

    Args:
        params: parameters, or groups of them with options of their own.
        lr: $\alpha_t$.
        betas: $(\beta_1, \beta_2)$, each in [0, 1).
        eps: $\epsilon$.
        weight_decay: $\lambda$.
        amsgrad: use the running maximum of v.
        maximize: climb instead of descend.
        foreach: move all tensors at once, or one after the other (False).
        capturable: never wait for the device.
        differentiable: let automatic differentiation see the step.
        fused: one pass over memory.

    Raises:
        ValueError: an option is out of its range.
        TypeError: an option is no number, or a flag neither True nor False.
        RuntimeError: two of foreach, fused and differentiable are True; or, at the step, a
            gradient is sparse.

    Example:
        >>> import torch, gradus
        >>> w = torch.nn.Parameter(torch.tensor([2.0]))
        >>> optimizer = gradus.optim.AdamW([w], lr=0.5, weight_decay=0.1)
        >>> (w**2).sum().backward()
        >>> optimizer.step()
        >>> w.data
        tensor([1.4000])

    Source: torch.optim.AdamW; Loshchilov and Hutter (2019), algorithm 2.
    """

    fixed_options: ClassVar[Mapping[str, Any]] = {"decoupled_weight_decay": True}

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            **self.fixed_options,
        }
        super().__init__(params, options)
