"""Adam that waits until its denominator is known, as an optimizer: RAdam."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

from gradus import methods
from gradus.methods.hyperparameters import Number
from gradus.optim.optimizer import MethodOptimizer


@final
class RAdam(MethodOptimizer):
    r"""RAdam: ``torch.optim.RAdam``.

    $$w \leftarrow w - \frac{\alpha_t}{1 - \beta_1^t}\, m \cdot
        \begin{cases} r_t \sqrt{1 - \beta_2^t} / (\sqrt v + \epsilon) & \rho_t > 5 \\
        1 & \text{else} \end{cases}$$

    The whole equation, with its two means, $r_t$, $\rho_t$ and weight decay, is that of
    :class:`gradus.methods.RAdam`. A step costs one gradient; it keeps two vectors as long as w.

    Args:
        params: parameters, or groups of them with options of their own.
        lr: $\alpha_t$.
        betas: $(\beta_1, \beta_2)$, each in [0, 1).
        eps: $\epsilon$.
        weight_decay: $\lambda$, added to the gradient.
        decoupled_weight_decay: decay as :class:`AdamW` does.
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
        >>> optimizer = gradus.optim.RAdam([w], lr=0.1)
        >>> (w**2).sum().backward()
        >>> optimizer.step()
        >>> w.data
        tensor([1.6000])

    Source: torch.optim.RAdam; Liu et al. (2020), algorithm 2.
    """

    method = methods.RAdam
    decoupled = methods.RAdam
    state_class = methods.RAdam.State
    state_keys: ClassVar[Mapping[str, str]] = {"m": "exp_avg", "v": "exp_avg_sq"}
    counts_steps = True

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
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
            "decoupled_weight_decay": decoupled_weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, options)
