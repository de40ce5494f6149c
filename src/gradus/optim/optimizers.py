"""The methods as ``torch.optim.Optimizer`` classes, to be put where torch's own stood.

Every class takes the options of its torch namesake, in the same order and with the same meaning,
and exchanges ``state_dict`` with it in both directions. ``foreach``, ``fused``, ``differentiable``
and ``capturable`` say how a step is carried out:

``foreach``
    The equation on lists of tensors, in place and in pieces that fit the cache. The default, on
    every device (torch's is the for-loop on a CPU).
``foreach=False``
    The for-loop: the equation on one tensor after the other. What every other form is checked
    against.
``fused``
    One pass over memory. On the CPU the C++ kernels of the native engine move float32 and float64
    parameters under SGD, Adam, AdamW, Polyak and Nesterov, a whole list in one call, with torch's
    own threads. They multiply and add in one operation, so that a step differs from the for-loop's
    by roundings. What they do not take is moved by torch's own fused kernel for SGD, Adam, AdamW
    and Adagrad, and otherwise, on the CPU, by the pieces of ``foreach``: other dtypes and devices,
    tensors with gaps or in another order in memory than their gradients, gradients that a
    GradScaler has scaled; and everything where the kernels are absent
    (:func:`gradus.kernels.absence` says why) or torch is older than 2.10. One parameter that is
    not taken sends its whole list there. With ``maximize`` or weight decay an entry that is
    infinite may become NaN (0 times infinity).
``differentiable``
    Automatic differentiation sees the step, options given as tensors included.
``capturable``
    The count of steps and options given as tensors stay on the device, so that a step never waits
    for it and can be captured in a CUDA graph. Each parameter then takes its step by itself,
    except under ``fused``.

Complex parameters move as pairs of real ones. A tensor as ``lr`` is read at every step. Numbers
that are NaN, infinite, bool or text, and flags that are not bool, are refused when they are given
and, where they are changed in ``param_groups``, at the next step; but under ``capturable`` a tensor
put there later is not looked at, for the host would have to wait for the device. A step that is
compiled with ``torch.compile`` is carried out as it is, uncompiled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from gradus import methods
from gradus.methods.momentum import Previous
from gradus.optim.stepping import MethodOptimizer

Number = float | Tensor


@final
class SGD(MethodOptimizer):
    r"""Stochastic gradient descent with momentum: ``torch.optim.SGD``.

    $$g \leftarrow g + \lambda w, \qquad b \leftarrow \mu b + (1 - \tau) g, \qquad
      w \leftarrow w - \alpha_t b$$

    The whole equation, with Nesterov's form and ``maximize``, is that of
    :class:`gradus.methods.SGD`. The first buffer b is the whole gradient, without dampening, as in
    torch. A step costs one gradient; with momentum it keeps one vector as long as w.

    Where torch 2.13 goes wrong and this does not: with ``foreach`` and Nesterov's form ``p.grad``
    stays as it was; under ``differentiable`` the first buffer depends on the gradient it is made
    of; dampening without momentum is refused.

    Args:
        params: parameters, or groups of them with options of their own.
        lr: $\alpha_t$.
        momentum: $\mu$.
        dampening: $\tau$; needs momentum.
        weight_decay: $\lambda$.
        nesterov: Nesterov's form; needs momentum and no dampening.
        maximize: climb instead of descend.
        foreach: move all tensors at once, or one after the other (False).
        differentiable: let automatic differentiation see the step.
        fused: one pass over memory.

    Raises:
        ValueError: an option is out of its range, or contradicts another.
        TypeError: an option is no number, or a flag neither True nor False.
        RuntimeError: two of foreach, fused and differentiable are True; or, at the step, gradients
            are sparse and momentum or weight_decay is set.

    Example:
        >>> import torch, gradus
        >>> w = torch.nn.Parameter(torch.tensor([8.0]))
        >>> optimizer = gradus.optim.SGD([w], lr=0.25, momentum=0.5)
        >>> for _ in range(2):
        ...     optimizer.zero_grad()
        ...     (w**2).sum().backward()
        ...     optimizer.step()
        >>> w.data
        tensor([0.])

    Source: torch.optim.SGD; Sutskever et al. (2013).
    """

    method = methods.SGD
    carried = methods.SGD.State
    parts: ClassVar[Mapping[str, str]] = {"buffer": "momentum_buffer"}
    restless = ("momentum", "weight_decay")

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: Number = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        options = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, options)


class AdaptiveMoments(MethodOptimizer):
    """What Adam and AdamW share: which of the two a group follows is an option of the group."""

    method = methods.Adam
    decoupled = methods.AdamW
    carried = methods.Adam.State
    parts: ClassVar[Mapping[str, str]] = {
        "m": "exp_avg",
        "v": "exp_avg_sq",
        "v_max": "max_exp_avg_sq",
    }
    counts = True


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

    fixed: ClassVar[Mapping[str, Any]] = {"decoupled_weight_decay": True}

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
            **self.fixed,
        }
        super().__init__(params, options)


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
    carried = methods.RMSprop.State
    parts: ClassVar[Mapping[str, str]] = {
        "square_average": "square_avg",
        "gradient_average": "grad_avg",
        "buffer": "momentum_buffer",
    }
    counts = True

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
    carried = methods.Adagrad.State
    parts: ClassVar[Mapping[str, str]] = {"sum": "sum"}
    counts = True
    restless = ("weight_decay",)

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
                self._begin(self._follow(index, group).method, group, p)

    def share_memory(self) -> None:
        """Move the sums into memory that other processes can share."""
        for state in self.state.values():
            state["sum"].share_memory_()


@final
class Polyak(MethodOptimizer):
    r"""Polyak's momentum, the heavy ball.

    $$w_{t+1} = w_t - \alpha_t \nabla f(w_t; \xi_t) + \beta (w_t - w_{t-1})$$

    The equation is that of :class:`gradus.methods.Polyak`. At a constant learning rate it follows
    the path of :class:`SGD` with momentum $\beta$; where the learning rate changes it does not:
    here the step just taken is carried on, there the gradients are. Weights that are changed
    between steps count as a step just taken. A step costs one gradient; it keeps one vector as long
    as w.

    Args:
        params: parameters, or groups of them with options of their own.
        lr: $\alpha_t$.
        beta: $\beta \in [0, 1)$.
        maximize: climb instead of descend.
        foreach: move all tensors at once, or one after the other (False).
        differentiable: let automatic differentiation see the step.
        fused: one pass over memory, on the CPU.

    Raises:
        ValueError: an option is out of its range.
        TypeError: an option is no number, or a flag neither True nor False.
        RuntimeError: two of foreach, fused and differentiable are True; or, at the step, a
            gradient is sparse.

    Example:
        >>> import torch, gradus
        >>> w = torch.nn.Parameter(torch.tensor([8.0]))
        >>> optimizer = gradus.optim.Polyak([w], lr=0.25, beta=0.5)
        >>> for _ in range(2):
        ...     optimizer.zero_grad()
        ...     (w**2).sum().backward()
        ...     optimizer.step()
        >>> w.data
        tensor([0.])

    Source: Polyak (1964).
    """

    method = methods.Polyak
    carried = Previous
    parts: ClassVar[Mapping[str, str]] = {"previous": "previous"}

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-3,
        beta: float = 0.9,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        options = {
            "lr": lr,
            "beta": beta,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, options)


@final
class Nesterov(MethodOptimizer):
    r"""Nesterov's momentum: the gradient is taken where the momentum step leads.

    $$w_{t+1} = y_t - \alpha_t \nabla f(y_t; \xi_t), \qquad y_t = w_t + \beta (w_t - w_{t-1})$$

    The equation is that of :class:`gradus.methods.Nesterov`. Between steps the PARAMETERS STAND AT
    $y_t$, where the next gradient is taken, so that any training loop works as it is; the iterate
    $w_t$ is kept in the state, and :meth:`at_iterate` puts the parameters there for a while, to
    evaluate or to save them. A step costs one gradient; it keeps two vectors as long as w.

    Parameters may be changed between steps, by ``load_state_dict`` of the model or by ``clamp_``:
    entries that then stand elsewhere than the step left them start anew from where they are
    ($w_t = w_{t-1}$, no momentum), the others go on. Writes past torch's count of them, in place
    through ``p.data``, are not seen; write under ``torch.no_grad()`` instead. An optimizer just
    loaded takes the parameters as those of its checkpoint.

    Args:
        params: parameters, or groups of them with options of their own.
        lr: $\alpha_t$.
        beta: $\beta \in [0, 1)$.
        maximize: climb instead of descend.
        foreach: move all tensors at once, or one after the other (False).
        differentiable: let automatic differentiation see the step.
        fused: one pass over memory, on the CPU.

    Raises:
        ValueError: an option is out of its range.
        TypeError: an option is no number, or a flag neither True nor False.
        RuntimeError: two of foreach, fused and differentiable are True; or, at the step, a
            gradient is sparse.

    Example:
        >>> import torch, gradus
        >>> w = torch.nn.Parameter(torch.tensor([8.0]))
        >>> optimizer = gradus.optim.Nesterov([w], lr=0.25, beta=0.5)
        >>> for _ in range(2):
        ...     optimizer.zero_grad()
        ...     (w**2).sum().backward()
        ...     optimizer.step()
        >>> with optimizer.at_iterate():
        ...     print(w.data)
        tensor([1.])

    Source: Nesterov (1983); in this form Sutskever et al. (2013), equations (3)-(4).
    """

    method = methods.Nesterov
    carried = Previous
    parts: ClassVar[Mapping[str, str]] = {"previous": "previous"}
    moves_query = True

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-3,
        beta: float = 0.9,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        options = {
            "lr": lr,
            "beta": beta,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, options)

    @contextmanager
    def at_iterate(self) -> Iterator[None]:
        """The parameters stand at the iterate $w_t$ within, and at $y_t$ again afterwards.

        Entries changed within stay as they are then, and start anew from there.

        Raises:
            RuntimeError: a step is taken within.
        """
        if self.is_at_iterate:
            yield
            return
        moved = [p for group in self.param_groups for p in group["params"] if self.state.get(p)]
        with torch.no_grad():
            for p in moved:
                self._heed(p)
            queries = [p.clone() for p in moved]
            iterates = [self.state[p]["iterate"] for p in moved]
            for p, iterate in zip(moved, iterates, strict=True):
                p.copy_(iterate)
        self.is_at_iterate = True
        try:
            yield
        finally:
            self.is_at_iterate = False
            with torch.no_grad():
                for p, query, iterate in zip(moved, queries, iterates, strict=True):
                    p.copy_(torch.where(p == iterate, query, p))
