"""Methods that remember their last step, as optimizers: SGD, Polyak, Nesterov."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, final

import torch

from gradus import methods
from gradus.methods.hyperparameters import Number
from gradus.methods.momentum import Previous
from gradus.optim.optimizer import MethodOptimizer


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
    state_class = methods.SGD.State
    state_keys: ClassVar[Mapping[str, str]] = {"buffer": "momentum_buffer"}
    needs_dense_gradients = ("momentum", "weight_decay")

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
        beta: $\beta \in [0, 1)$; what a scheduler of torch writes into a group as ``momentum``
            becomes its ``beta`` at the next step.
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
    state_class = Previous
    state_keys: ClassVar[Mapping[str, str]] = {"previous": "previous"}
    other_names: ClassVar[Mapping[str, str]] = {"momentum": "beta"}

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
    ($w_t = w_{t-1}$, no momentum), the others go on. Where $\beta$ changes between steps, the
    gradient is that at the query of the $\beta$ before. Writes past torch's count of them, in place
    through ``p.data``, are not seen; write under ``torch.no_grad()`` instead. An optimizer just
    loaded takes the parameters as those of its checkpoint.

    Args:
        params: parameters, or groups of them with options of their own.
        lr: $\alpha_t$.
        beta: $\beta \in [0, 1)$; what a scheduler of torch writes into a group as ``momentum``
            becomes its ``beta`` at the next step.
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
    state_class = Previous
    state_keys: ClassVar[Mapping[str, str]] = {"previous": "previous"}
    other_names: ClassVar[Mapping[str, str]] = {"momentum": "beta"}
    parameters_at_query = True

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
                self._restart_where_written(p)
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
