"""How a method becomes a ``torch.optim.Optimizer``: its groups, its step and its state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cached_property, partial, wraps
from operator import is_, itemgetter
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from gradus.methods.hyperparameters import is_set
from gradus.methods.method import FirstOrder
from gradus.methods.schedules import Schedule
from gradus.optim import forms
from gradus.optim.checkpoints import check_class, check_shapes, copied
from gradus.optim.forms import Equation
from gradus.optim.inplace import InPlaceUpdate, in_place_update_of
from gradus.optim.kernels import KERNELS
from gradus.optim.options import (
    FLAGS,
    as_number,
    as_scalar,
    check_options,
    has_tensor,
    is_immutable,
)
from gradus.optim.tensor_lists import TensorLists, as_dtype_of, as_real, grouped
from gradus.risk.tensors import Tensors

Form = Callable[[Equation, TensorLists], None]
"""Carries a step out."""
Version = tuple[int, int]
"""How often a parameter has been written into, and where its data lie."""


class Resolved(NamedTuple):
    """What the options of a group come to."""

    options: tuple[Any, ...]
    """The entries of the group that were read."""
    is_constant: bool
    """Whether it holds until one of them is replaced; tensors and lists may change in place."""
    steps_on_device: bool
    """Whether the counts of steps lie beside the parameters."""
    holds_tensors: bool
    """Whether the method holds tensors themselves, not the numbers that were read of them."""
    equation: Equation
    required: frozenset[str]
    """The keys of ``state`` without which no step can be taken."""
    has_state: bool
    """Whether anything is kept from step to step."""
    in_place: InPlaceUpdate | None
    """The C++ kernels for it, where the step is fused and they know it."""


def _hooked(step: Callable[..., Any]) -> Callable[..., Any]:
    """The step with torch's hooks and its mark for the profiler, where there are any.

    Torch wraps the step of every optimizer in them; for a small model that costs as much as the
    step.
    """
    with_all = Optimizer.profile_hook_step(step)
    uncompiled = torch._disable_dynamo(step)  # type: ignore[attr-defined]

    @wraps(step)
    def stepping(self: MethodOptimizer, *args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():  # a compiler would take counts of steps for constants
            return uncompiled(self, *args, **kwargs)
        if (
            self._optimizer_step_pre_hooks
            or self._optimizer_step_post_hooks
            or _global_optimizer_pre_hooks
            or _global_optimizer_post_hooks
            or torch.autograd._profiler_enabled()  # type: ignore[attr-defined]
        ):
            return with_all(self, *args, **kwargs)
        return step(self, *args, **kwargs)

    stepping.hooked = True  # type: ignore[attr-defined]  # torch wraps it no more
    return stepping


class MethodOptimizer(Optimizer):
    """A ``torch.optim.Optimizer`` whose step is the update of a method.

    A subclass names its method and how torch calls the parts of its state; everything else is
    here. The options of the method are options of the parameter group: they can differ from group
    to group and change between steps, and what is wrong in them is refused before the step.
    """

    method: ClassVar[type[FirstOrder]]
    """The equation."""
    decoupled: ClassVar[type[FirstOrder]]
    """The equation with weight decay apart from the gradient, where there is one."""
    state_class: ClassVar[type[Any]]
    """The state of the method."""
    state_keys: ClassVar[Mapping[str, str]]
    """Under which key of ``state`` each field of the method's state is kept."""
    counts_steps: ClassVar[bool] = False
    """Whether the equation uses the number of the step, kept under ``"step"``."""
    parameters_at_query: ClassVar[bool] = False
    """Whether the parameters stand at the query, where the gradient is taken, and not at w."""
    is_at_iterate: bool = False
    """Whether they stand at w for now all the same."""
    other_names: ClassVar[Mapping[str, str]] = {}
    """Options by the names that torch's schedulers write, and what they are called here."""
    fixed_options: ClassVar[Mapping[str, Any]] = {}
    """Options that belong to the class: those of a checkpoint give way to them."""
    needs_dense_gradients: ClassVar[tuple[str, ...] | None] = None
    """Options with which an entry of w moves though its gradient is 0; None: without any, too."""

    def __init__(self, params: Any, options: Mapping[str, Any]) -> None:
        self._resolved: dict[int, Resolved] = {}
        self._versions: dict[Tensor, tuple[Version, FirstOrder]] = {}
        super().__init__(params, {"fused": None, **options, **dict.fromkeys(self.other_names)})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters, with options of its own where they are given.

        Raises:
            ValueError: an option is out of its range, or contradicts another.
            TypeError: an option is no number.
        """
        if isinstance(param_group, dict):
            param_group = dict(param_group)
            self._take_other_names(param_group)
            group = {**self.defaults, **param_group}
            check_options(group, self._flags, self._hyperparameters)
            self._method_of(group, as_number)
        super().add_param_group(param_group)

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "defaults" not in state:  # by load_state_dict; else by copy or pickle
            groups, kept = state["param_groups"], state["state"]
            check_class(type(self).__name__, groups, kept)
            check_shapes(groups, kept, self._keys.values())
            state = {**state, "state": copied(kept)}
        super().__setstate__(state)
        self._resolved, self._versions = {}, {}
        for group in self.param_groups:
            for name, value in self.defaults.items():
                group.setdefault(name, value)
            group.update(self.fixed_options)
            for p in group["params"] if self.counts_steps else ():
                held = self.state.get(p)
                if held and not isinstance(held.get("step", 0), Tensor):
                    held["step"] = _zero_steps(group, p) + held["step"]

    @property
    def _step_supports_amp_scaling(self) -> bool:
        """Whether the gradients may come scaled: torch's GradScaler asks."""
        return self.method in KERNELS and all(group["fused"] for group in self.param_groups)

    @_hooked
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step.

        Args:
            closure: evaluates the loss anew, calls ``backward`` and returns the loss.

        Returns:
            What the closure returns.

        Raises:
            ValueError: an option of a group is out of its range, or contradicts another.
            TypeError: an option is no number, or a flag neither True nor False.
            RuntimeError: a gradient is sparse and the method cannot take it; a CUDA graph is
                being captured without ``capturable``; or the parameters stand at the iterate,
                where no gradient is taken.
        """
        if self.is_at_iterate:
            raise RuntimeError(
                f"step() within at_iterate(): {type(self).__name__} takes its gradients where the "
                "parameters stand outside of it; take the step there"
            )
        if "capturable" in self.defaults:
            self._accelerator_graph_capture_health_check()
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        moves = []
        for index, group in enumerate(self.param_groups):
            self._take_other_names(group)
            resolved = self._resolve(index, group)
            moving = [(p, g) for p in group["params"] if (g := p.grad) is not None]
            sparse = [(p, g) for p, g in moving if g.is_sparse]
            if sparse:
                self._check_sparse(group)
                moving = [(p, g) for p, g in moving if not g.is_sparse]
            moves.append((resolved, group, moving, sparse))
        for resolved, group, dense, sparse in moves:
            equation = resolved.equation
            form, separately = self._form(resolved, group)
            with torch.set_grad_enabled(group["differentiable"]):
                for p, _ in dense if self.parameters_at_query else ():
                    self._restart_where_written(p)
                for lists in self._lists(resolved, group, dense, separately=separately):
                    form(equation, lists)
                for p, _ in dense if self.parameters_at_query else ():
                    self._versions[p] = _version(p), equation.method
                for p, g in sparse:
                    gradient = g.coalesce()
                    (lists,) = self._lists(resolved, group, [(p, gradient)], separately=True)
                    forms.on_rows(equation, lists, gradient)
        return loss

    # What the options of a group come to.

    def _take_other_names(self, group: dict[str, Any]) -> None:
        """Bring what was written under torch's name of an option to ours."""
        for name, own in self.other_names.items():
            if group.get(name) is not None:
                group[own], group[name] = group[name], None

    def _resolve(self, index: int, group: Mapping[str, Any]) -> Resolved:
        """The equation of a group, built anew where its options have been replaced."""
        options = self._read(group)
        known = self._resolved.get(index)
        # Equal is not enough: a tensor may stand where the number that it holds stood.
        if known is not None and known.is_constant and all(map(is_, known.options, options)):
            return known
        check_options(group, self._flags, self._hyperparameters)
        capturable = group.get("capturable", False)
        holds_tensors = any(map(has_tensor, options)) and (group["differentiable"] or capturable)
        if not (holds_tensors and capturable):  # else the host would wait for the device
            method = self._method_of(group, as_number)
        if holds_tensors:
            with torch.set_grad_enabled(group["differentiable"]):
                method = self._method_of(group, as_scalar)
        steps_on_device = bool(self.counts_steps and (group["fused"] or capturable))
        if steps_on_device and not (known is not None and known.steps_on_device):
            self._move_steps(group)
        constant = all(map(is_immutable, options))
        in_place = in_place_update_of(method) if group["fused"] and not holds_tensors else None
        equation = self._equation(group, method)
        if known is not None and not (holds_tensors or known.holds_tensors):
            before = known.equation
            if before.method == method and before.negates_gradient == equation.negates_gradient:
                resolved = known._replace(
                    options=options,
                    is_constant=constant,
                    steps_on_device=steps_on_device,
                    in_place=in_place,
                )
                self._resolved[index] = resolved
                return resolved
        initial = method.init(Tensors([torch.zeros(())]))
        required = {key for f, key in self.state_keys.items() if getattr(initial, f) is not None}
        if self.counts_steps:
            required.add("step")
        # What begins with the first gradient is the buffer of SGD alone.
        has_state = bool(required) or is_set(getattr(method, "momentum", 0))
        resolved = Resolved(
            options,
            constant,
            steps_on_device,
            holds_tensors,
            equation,
            frozenset(required),
            has_state,
            in_place,
        )
        self._resolved[index] = resolved
        return resolved

    def _equation(self, group: Mapping[str, Any], method: FirstOrder) -> Equation:
        """The update of a method as a group wants it."""
        return Equation(
            method,
            self.state_class,
            tuple(self.state_keys),
            negates_gradient=group["maximize"] and not hasattr(method, "maximize"),
            at_query=self.parameters_at_query,
            counts_steps=self.counts_steps,
        )

    def _method_of(self, group: Mapping[str, Any], read: Callable[[Any], Any]) -> FirstOrder:
        """The method with the options of a group, if they are numbers in their range."""
        if isinstance(lr := group["lr"], Schedule):
            raise TypeError(
                f"lr must be a finite number >= 0, not {lr!r}: "
                "let torch.optim.lr_scheduler.LambdaLR change it from step to step"
            )
        kind = self.decoupled if group.get("decoupled_weight_decay") else self.method
        return kind(**{name: read(group[name]) for name in self._hyperparameters})

    @cached_property
    def _hyperparameters(self) -> tuple[str, ...]:
        """The names of the method's hyper-parameters."""
        return tuple(field.name for field in fields(self.method))  # type: ignore[arg-type]

    @cached_property
    def _flags(self) -> tuple[str, ...]:
        """The names of the options that are True or False."""
        return tuple(name for name in FLAGS if name in self.defaults)

    @cached_property
    def _read(self) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
        """The entries of a group on which its equation depends."""
        return itemgetter(*dict.fromkeys((*self._hyperparameters, *self._flags)))

    @cached_property
    def _keys(self) -> dict[str, str]:
        """Under which key of ``state`` each vector is kept that a step carries over to the next."""
        keys = dict(self.state_keys)
        return {**keys, "iterate": "iterate"} if self.parameters_at_query else keys

    def _check_sparse(self, group: Mapping[str, Any]) -> None:
        """Refuse sparse gradients where the method cannot take them."""
        name, dense = type(self).__name__, self.needs_dense_gradients
        for form in ("fused", "differentiable", "capturable"):
            if group.get(form):
                raise RuntimeError(f"{name} with {form}=True does not support sparse gradients")
        if dense is None or any(is_set(group[option]) for option in dense):
            condition = f" with {' or '.join(dense)}" if dense else ""
            raise RuntimeError(
                f"{name} does not support sparse gradients{condition}: entries without a gradient "
                "would have to move too"
            )

    # The step.

    def _form(self, resolved: Resolved, group: Mapping[str, Any]) -> tuple[Form, bool]:
        """How a group takes its step, and whether it does so one parameter at a time."""
        if group["differentiable"]:
            return forms.differentiable, True
        if resolved.in_place is not None or (group["fused"] and self.method in KERNELS):
            names = ("grad_scale", "found_inf")
            scaling = {name: getattr(self, name, None) for name in names}
            return partial(forms.fused, in_place=resolved.in_place, scaling=scaling), False
        if group["foreach"] is False:
            return forms.for_loop, True
        return forms.foreach, bool(group.get("capturable"))

    def _lists(
        self,
        resolved: Resolved,
        group: Mapping[str, Any],
        moving: Sequence[tuple[Tensor, Tensor]],
        *,
        separately: bool,
    ) -> Iterator[TensorLists]:
        """Parameters with their gradients and state, in the lists that one call moves."""
        if not moving:
            return
        states: list[dict[str, Any]]
        states = [self.state[p] if resolved.has_state else {} for p, _ in moving]
        for (p, _), state in zip(moving, states, strict=True):
            if not resolved.required <= state.keys():
                self._init_state(resolved.equation.method, group, p)
        steps: list[Any] = [0] * len(states)
        if self.counts_steps and not (group["fused"] and self.method in KERNELS):
            steps = [state["step"] for state in states]
            if not group.get("capturable"):
                steps = torch.stack(steps).tolist() if len(steps) > 1 else [steps[0].item()]
        yield from grouped(moving, states, steps, self._keys, separately=separately)

    # What is kept from step to step.

    def _init_state(self, method: FirstOrder, group: Mapping[str, Any], p: Tensor) -> None:
        """What the state of a parameter holds before its first step."""
        if group["fused"] and self.method not in KERNELS and p.device.type != "cpu":
            raise RuntimeError(
                f"{type(self).__name__} has no fused kernel on {p.device.type}: its fastest form "
                "there is foreach=True"
            )
        state = self.state[p]
        w = Tensors([as_real(p)])
        if self.counts_steps:
            state.setdefault("step", _zero_steps(group, p))
        initial = method.init(w)
        start = {name: getattr(initial, name) for name in self.state_keys}
        if self.parameters_at_query:
            start["iterate"] = w
        for name, vector in start.items():
            if vector is not None and self._keys[name] not in state:
                state[self._keys[name]] = as_dtype_of(p, vector.values[0].clone())

    def _restart_where_written(self, p: Tensor) -> None:
        """Where entries of p were changed since the last step, the path starts anew from them.

        What was written since is compared with where the step led: entries that are still there go
        on as if nothing had been written.
        """
        version = _version(p)
        version_left, method = self._versions.get(p, (version, None))
        if method is None or version_left == version or not (state := self.state[p]):
            return
        w, kept = state["iterate"], {name: state[key] for name, key in self.state_keys.items()}
        expected = method.query(w, self.state_class(0, **kept))
        # The step may have rounded the last sum, and what it adds to w, the other way.
        size = expected.abs() + 4 * (expected - w).abs()
        unchanged = (p - expected).abs() <= torch.finfo(p.dtype).eps * size
        initial = method.init(p)
        for name, tensor in kept.items():
            state[self.state_keys[name]] = torch.where(unchanged, tensor, getattr(initial, name))
        state["iterate"] = torch.where(unchanged, w, p)

    def _move_steps(self, group: Mapping[str, Any]) -> None:
        """Move counts of steps to where the parameters lie, where they began on the host."""
        for p in group["params"]:
            held = self.state.get(p)
            if held and "step" in held:
                held["step"] = held["step"].to(p.device)


def _version(p: Tensor) -> Version:
    """What changes when something is written into a parameter, or other data put under it."""
    return p._version, p.data_ptr()


def _zero_steps(group: Mapping[str, Any], p: Tensor) -> Tensor:
    """A count of steps as torch keeps it: beside the parameter where the host must not wait."""
    on_device = group["fused"] or group.get("capturable", False)
    doubles = torch.get_default_dtype() == torch.float64 and not group["fused"]
    dtype = torch.float64 if doubles else torch.float32
    return torch.zeros((), dtype=dtype, device=p.device if on_device else "cpu")
