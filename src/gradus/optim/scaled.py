"""Methods that divide by the size of past gradients, as optimizers: RMSprop, Adagrad."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

from gradus import methods
from gradus.methods.hyperparameters import Number
from gradus.optim.optimizer import MethodOptimizer


@final
class RMSprop(MethodOptimizer):
    r"""RMSprop: ``torch.optim.RMSprop``.

    $$v \leftarrow \alpha v + (1 - \alpha) g^2, \qquad
      w \leftarrow w - \alpha_t \frac{g}{\sqrt v + \epsilon}$$

    The whole equation, with momentum, the centered form, weight decay and ``maximize``, is that of
    :class:`gradus.methods.RMSprop`. A step costs one gradient; it keeps one vector as long as w,
    one more with momentum, one more if centered.

    Args:
        params: parameters, or groups of them with options of their own.
        lr: $\alpha_t$.
        alpha: $\alpha$ in [0, 1), the weight of the past (torch takes numbers from 1 on as well).
        eps: $\epsilon$.
        weight_decay: $\lambda$, added to the gradient.
        momentum: $\mu$.
        centered: divide by the deviation of the gradients from their mean.
        capturable: never wait for the device.
        foreach: move all tensors at once, or one after the other (False).
        maximize: climb instead of descend.
        differentiable: let automatic differentiation see the step.
        fused: one pass over memory, on the CPU; torch's class has no such option.

    Raises:
        ValueError: an option is out of its range.
        TypeError: an option is no number, or a flag neither True nor False.
        RuntimeError: two of foreach, fused and differentiable are True; or, at the step, a
            gradient is sparse.

    Example:
        >>> import torch, gradus
        >>> w = torch.nn.Parameter(torch.tensor([2.0]))
        >>> optimizer = gradus.optim.RMSprop([w], lr=0.5, alpha=0.75)
        >>> (w**2).sum().backward()
        >>> optimizer.step()
        >>> w.data
        tensor([1.])

    Source: torch.optim.RMSprop; Tieleman and Hinton (2012), lecture 6.5; Graves (2013).
    """

    method = methods.RMSprop
    state_class = methods.RMSprop.State
    state_keys: ClassVar[Mapping[str, str]] = {
        "square_average": "square_avg",
        "gradient_average": "grad_avg",
        "buffer": "momentum_buffer",
    }
    counts_steps = True

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        options = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, options)


@final
class Adagrad(MethodOptimizer):
    r"""Adagrad: ``torch.optim.Adagrad``.

    $$s \leftarrow s + g^2, \qquad
      w \leftarrow w - \frac{\alpha_t}{1 + (t - 1)\,\eta} \cdot \frac{g}{\sqrt s + \epsilon}$$

    The whole equation is that of :class:`gradus.methods.Adagrad`. A step costs one gradient; it
    keeps one vector as long as w. Sparse gradients are taken: only the entries that they touch are
    read and written.

    Args:
        params: parameters, or groups of them with options of their own.
        lr: $\alpha_t$.
        lr_decay: $\eta$, how fast the learning rate falls with the step.
        weight_decay: $\lambda$, added to the gradient.
        initial_accumulator_value: s before the first step.
        eps: $\epsilon$.
        foreach: move all tensors at once, or one after the other (False).
        maximize: climb instead of descend.
        differentiable: let automatic differentiation see the step.
        fused: one pass over memory.

    Raises:
        ValueError: an option is out of its range.
        TypeError: an option is no number, or a flag neither True nor False.
        RuntimeError: two of foreach, fused and differentiable are True; or, at the step, a
            gradient is sparse and weight_decay is set.

    Example:
        >>> import torch, gradus
        >>> w = torch.nn.Parameter(torch.tensor([2.0]))
        >>> optimizer = gradus.optim.Adagrad([w], lr=0.5)
        >>> (w**2).sum().backward()
        >>> optimizer.step()
        >>> w.data
        tensor([1.5000])

    Source: torch.optim.Adagrad; Duchi, Hazan, Singer (2011).
    """

    method = methods.Adagrad
    state_class = methods.Adagrad.State
    state_keys: ClassVar[Mapping[str, str]] = {"sum": "sum"}
    counts_steps = True
    needs_dense_gradients = ("weight_decay",)

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        options = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, options)
        # Torch's class has its state from the start: a state_dict taken now has to hold it.
        for index, group in enumerate(self.param_groups):
            for p in group["params"]:
                self._init_state(self._resolve(index, group).equation.method, group, p)

    def share_memory(self) -> None:
        """Move the sums into memory that other processes can share."""
        for state in self.state.values():
            state["sum"].share_memory_()
