"""How a method moves the parameters of a module: what every optimizer shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cached_property, partial, wraps
from numbers import Real
from operator import is_, itemgetter
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from gradus.methods.hyperparameters import is_set
from gradus.methods.method import FirstOrder
from gradus.methods.schedules import Schedule
from gradus.optim.kernels import KERNELS, Scaling, moved
from gradus.optim.moving import Mover, mover_of
from gradus.optim.program import Program, Symbol
from gradus.optim.together import Together, gather, of_kind, real
from gradus.risk.tensors import Tensors

V = TypeVar("V", Tensor, Tensors, Symbol)


WAYS = ("foreach", "fused", "differentiable")
"""The options that say how a step is carried out, of which one may be True."""
UNDECIDED = ("foreach", "fused")
"""The flags that may be None."""
FLAGS = (
    *WAYS,
    "capturable",
    "maximize",
    "nesterov",
    "amsgrad",
    "centered",
    "decoupled_weight_decay",
)
"""The options that are True or False."""


Written = tuple[int, int]
"""How often a parameter has been written into, and where its data lie."""


class Followed(NamedTuple):
    """What a group follows."""

    given: tuple[Any, ...]
    """The entries of the group of which it is made."""
    lasts: bool
    """Whether it holds until one of them is replaced; tensors and lists may change in place."""
    beside: bool
    """Whether the counts of steps lie beside the parameters."""
    stays: bool
    """Whether the method holds tensors themselves, not the numbers that were read of them."""
    method: FirstOrder
    needed: frozenset[str]
    """The keys of ``state`` without which no step can be taken."""
    keeps: bool
    """Whether anything is kept from step to step."""
    mover: Mover | None
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
    carried: ClassVar[type[Any]]
    """The state of the method."""
    parts: ClassVar[Mapping[str, str]]
    """Under which key of ``state`` each field of the method's state is kept."""
    counts: ClassVar[bool] = False
    """Whether the equation uses the number of the step, kept under ``"step"``."""
    moves_query: ClassVar[bool] = False
    """Whether the gradient is taken elsewhere than at w: the parameters then stand there."""
    is_at_iterate: bool = False
    """Whether they stand at w for a while all the same."""
    fixed: ClassVar[Mapping[str, Any]] = {}
    """Options that belong to the class: those of a checkpoint give way to them."""
    restless: ClassVar[tuple[str, ...] | None] = None
    """Options with which an entry of w moves though its gradient is 0; None: it moves anyway."""

    def __init__(self, params: Any, options: Mapping[str, Any]) -> None:
        self._followed: dict[int, Followed] = {}
        self._programs: dict[Any, tuple[Program, dict[str, Symbol]]] = {}
        self._left: dict[Tensor, tuple[Written, FirstOrder]] = {}
        super().__init__(params, dict(options))

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters, with options of its own where they are given.

        Raises:
            ValueError: an option is out of its range, or contradicts another.
            TypeError: an option is no number.
        """
        if isinstance(param_group, dict):
            group = {**self.defaults, **param_group}
            self._check(group)
            self._method_of(group, _number)
        super().add_param_group(param_group)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._followed, self._programs, self._left = {}, {}, {}
        for group in self.param_groups:
            for name, value in self.defaults.items():
                group.setdefault(name, value)
            group.update(self.fixed)
            for p in group["params"] if self.counts else ():
                held = self.state.get(p)
                if held and not isinstance(held.get("step", 0), Tensor):
                    held["step"] = _no_steps(group, p) + held["step"]

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
            followed = self._follow(index, group)
            moving = [(p, g) for p in group["params"] if (g := p.grad) is not None]
            sparse = [(p, g) for p, g in moving if g.is_sparse]
            if sparse:
                self._check_sparse(group)
                moving = [(p, g) for p, g in moving if not g.is_sparse]
            moves.append((followed, group, moving, sparse))
        for followed, group, dense, sparse in moves:
            with torch.set_grad_enabled(group["differentiable"]):
                for p, _ in dense if self.moves_query else ():
                    self._heed(p)
                for lists, carry_out in self._ways(followed, group, dense):
                    carry_out(followed.method, group, lists)
                for p, _ in dense if self.moves_query else ():
                    self._left[p] = _written(p), followed.method
                for p, g in sparse:
                    self._on_rows(followed, group, p, g)
        return loss

    # What the options of a group say.

    def _follow(self, index: int, group: Mapping[str, Any]) -> Followed:
        """The method of a group, built anew where its options have been replaced."""
        given = self._read(group)
        known = self._followed.get(index)
        # Equal is not enough: a tensor may stand where the number that it holds stood.
        if known is not None and known.lasts and all(map(is_, known.given, given)):
            return known
        self._check(group)
        capturable = group.get("capturable", False)
        holds_tensor = any(map(_holds_tensor, given))
        stays = holds_tensor and (group["differentiable"] or capturable)
        if not (stays and capturable):  # else the host would wait for the device
            method = self._method_of(group, _number)
        if stays:
            with torch.set_grad_enabled(group["differentiable"]):
                method = self._method_of(group, _scalar)
        beside = bool(self.counts and (group["fused"] or capturable))
        if beside and not (known is not None and known.beside):
            self._put_beside(group)
        lasts = all(map(_is_fixed, given))
        if known is not None and not (stays or known.stays) and known.method == method:
            mover = self._mover(group, method)
            followed = known._replace(given=given, lasts=lasts, beside=beside, mover=mover)
        else:
            initial = method.init(Tensors([torch.zeros(())]))
            needed = {k for part, k in self.parts.items() if getattr(initial, part) is not None}
            if self.counts:
                needed.add("step")
            # What begins with the first gradient is the buffer of SGD alone.
            keeps = bool(needed) or is_set(getattr(method, "momentum", 0))
            followed = Followed(
                given,
                lasts,
                beside,
                stays,
                method,
                frozenset(needed),
                keeps,
                None if stays else self._mover(group, method),
            )
        self._followed[index] = followed
        return followed

    def _mover(self, group: Mapping[str, Any], method: FirstOrder) -> Mover | None:
        """The C++ kernels for a group."""
        return mover_of(method) if group["fused"] else None

    def _kind(self, group: Mapping[str, Any]) -> type[FirstOrder]:
        """The equation that a group follows."""
        return self.decoupled if group.get("decoupled_weight_decay") else self.method

    def _method_of(self, group: Mapping[str, Any], read: Callable[[Any], Any]) -> FirstOrder:
        """The method with the options of a group, if they are numbers in their range."""
        if isinstance(lr := group["lr"], Schedule):
            raise TypeError(
                f"lr must be a finite number >= 0, not {lr!r}: "
                "let torch.optim.lr_scheduler.LambdaLR change it from step to step"
            )
        return self._kind(group)(**{name: read(group[name]) for name in self._options})

    @cached_property
    def _options(self) -> tuple[str, ...]:
        """The names of the method's hyper-parameters."""
        return tuple(field.name for field in fields(self.method))  # type: ignore[arg-type]

    @cached_property
    def _flags(self) -> tuple[str, ...]:
        """The names of the options that are True or False."""
        return tuple(name for name in FLAGS if name in self.defaults)

    @cached_property
    def _read(self) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
        """The entries of a group that say what it follows."""
        return itemgetter(*dict.fromkeys((*self._options, *self._flags)))

    @cached_property
    def _keys(self) -> dict[str, str]:
        """Under which key of ``state`` each vector is kept that a step carries over to the next."""
        return {**self.parts, "iterate": "iterate"} if self.moves_query else dict(self.parts)

    def _check(self, group: Mapping[str, Any]) -> None:
        """Refuse flags that are none, contradict each other, and tensors of several numbers."""
        for name in self._flags:
            flag = group[name]
            if not isinstance(flag, bool) and not (flag is None and name in UNDECIDED):
                allowed = "True, False or None" if name in UNDECIDED else "True or False"
                raise TypeError(f"{name} must be {allowed}, not {flag!r}")
        ways = [way for way in WAYS if group[way]]
        if len(ways) > 1:
            raise RuntimeError(
                f"`{ways[0]}` and `{ways[1]}` cannot be True together: a step is carried out in "
                "one way"
            )
        for name in self._options:
            for value in group[name] if isinstance(group[name], tuple | list) else [group[name]]:
                if isinstance(value, Tensor) and value.numel() != 1:
                    shape = tuple(value.shape)
                    raise ValueError(f"Tensor {name} must be 1-element, but its shape is {shape}")

    def _check_sparse(self, group: Mapping[str, Any]) -> None:
        """Refuse sparse gradients where the method cannot take them."""
        name = type(self).__name__
        for way in ("fused", "differentiable", "capturable"):
            if group.get(way):
                raise RuntimeError(f"{name} with {way}=True does not support sparse gradients")
        if self.restless is None or any(is_set(group[option]) for option in self.restless):
            condition = f" with {' or '.join(self.restless)}" if self.restless else ""
            raise RuntimeError(
                f"{name} does not support sparse gradients{condition}: entries without a gradient "
                "would have to move too"
            )

    # The step, and the ways to carry it out.

    def _ways(
        self, followed: Followed, group: Mapping[str, Any], moving: Sequence[tuple[Tensor, Tensor]]
    ) -> Iterator[tuple[Together, Callable[[FirstOrder, Mapping[str, Any], Together], None]]]:
        """What takes its step together, and the way in which it does."""
        if not moving:
            return
        has_kernel = group["fused"] and self.method in KERNELS
        if group["differentiable"]:
            carry_out, alone = self._differentiably, True
        elif has_kernel or followed.mover is not None:
            carry_out, alone = partial(self._at_once, followed.mover), False
        elif group["foreach"] is False:
            carry_out, alone = self._one_by_one, True
        else:
            carry_out, alone = self._together, bool(group.get("capturable"))
        states: list[dict[str, Any]]
        states = [self.state[p] if followed.keeps else {} for p, _ in moving]
        for (p, _), state in zip(moving, states, strict=True):
            if not followed.needed <= state.keys():
                self._begin(followed.method, group, p)
        steps: list[Any] = [0] * len(states)
        if self.counts and not has_kernel:
            steps = [state["step"] for state in states]
            if not group.get("capturable"):
                steps = torch.stack(steps).tolist() if len(steps) > 1 else [steps[0].item()]
        for lists in gather(moving, states, steps, self._keys, alone=alone):
            yield lists, carry_out

    def _equation(
        self, method: FirstOrder, group: Mapping[str, Any], step: Any, given: Mapping[str, V]
    ) -> dict[str, V]:
        """The update on vectors of any form: the new w, and the new parts of the state."""
        g = given["gradient"]
        if group["maximize"] and not hasattr(method, "maximize"):
            g = -g
        state = self.carried(step, *(given.get(part) for part in self.parts))
        w, state = method.update(given["iterate" if self.moves_query else "w"], g, state)
        made = {part: getattr(state, part) for part in self.parts}
        made["w"] = w
        if self.moves_query:
            made |= {"iterate": w, "w": method.query(w, state)}
        return {name: vector for name, vector in made.items() if vector is not None}

    def _together(self, method: FirstOrder, group: Mapping[str, Any], lists: Together) -> None:
        """``foreach``: the equation, recorded and run in place on many tensors at once."""
        program, made = self._recorded(method, group, lists)
        lists.make_room(made.keys() - lists.vectors.keys())
        program.run(made, lists.vectors)
        self._count(lists)

    def _recorded(
        self, method: FirstOrder, group: Mapping[str, Any], lists: Together
    ) -> tuple[Program, dict[str, Symbol]]:
        """The equation on symbols; where no number in it depends on the step, recorded once."""
        key = method, group["maximize"], *lists.vectors
        if not self.counts and key in self._programs:
            return self._programs[key]
        program = Program(lists.vectors, constant="gradient")
        recorded = program, self._equation(method, group, lists.step, program.symbols)
        if not self.counts:
            if len(self._programs) >= len(self.param_groups):
                self._programs.clear()  # the options have changed: what was recorded is of no use
            self._programs[key] = recorded
        return recorded

    def _one_by_one(self, method: FirstOrder, group: Mapping[str, Any], lists: Together) -> None:
        """The for-loop: the equation as it stands."""
        given = {name: Tensors(tensors) for name, tensors in lists.vectors.items()}
        made = self._equation(method, group, lists.step, given)
        lists.make_room(made.keys() - lists.vectors.keys())
        results = {name: vector.values[0] for name, vector in made.items()}
        # What is w now may be part of the next state: w is written last.
        for name in sorted(results, key="w".__eq__):
            lists.vectors[name][0].copy_(results[name])
        self._count(lists)

    def _differentiably(
        self, method: FirstOrder, group: Mapping[str, Any], lists: Together
    ) -> None:
        """Automatic differentiation sees the step: w and the state as they were stay unchanged."""
        given = {name: tensor.clone() for name, (tensor,) in lists.vectors.items()}
        made = self._equation(method, group, lists.step, given)
        (p,), (state,) = lists.params, lists.states
        real(p).copy_(made.pop("w"))
        for name, tensor in made.items():
            state[lists.keys[name]] = of_kind(p, tensor)
        self._count(lists)

    def _at_once(
        self, mover: Mover | None, method: FirstOrder, group: Mapping[str, Any], lists: Together
    ) -> None:
        """``fused``: one pass over memory, by the C++ kernels or by torch's own."""
        scaling: Scaling = {name: getattr(self, name, None) for name in ("grad_scale", "found_inf")}
        is_scaled = any(value is not None for value in scaling.values())
        if mover is not None and not is_scaled:
            if moved(mover, method, lists, maximize=group["maximize"]):
                return
            if self.method not in KERNELS:
                self._together(method, group, lists)
                return
        self._count(lists)
        device = lists.params[0].device
        scaling = {
            name: None if value is None else value.to(device) for name, value in scaling.items()
        }
        KERNELS[self.method](method, lists, scaling)
        skipped = scaling["found_inf"]
        if skipped is not None and self.counts:
            torch._foreach_sub_(lists.steps, [skipped] * len(lists.steps))

    def _on_rows(
        self, followed: Followed, group: Mapping[str, Any], p: Tensor, gradient: Tensor
    ) -> None:
        """A sparse gradient: the equation on the entries that it touches."""
        gradient = gradient.coalesce()
        ((lists, _),) = self._ways(followed, group, [(p, gradient)])
        at = tuple(gradient.indices())
        given = {
            name: Tensors([tensor[at]])
            for name, (tensor,) in lists.vectors.items()
            if name != "gradient"
        }
        given["gradient"] = Tensors([real(gradient.values().resolve_conj())])
        for name, vector in self._equation(followed.method, group, lists.step, given).items():
            lists.vectors[name][0][at] = vector.values[0]
        self._count(lists)

    # What is kept from step to step.

    def _begin(self, method: FirstOrder, group: Mapping[str, Any], p: Tensor) -> None:
        """What the state of a parameter holds before its first step."""
        if group["fused"] and self.method not in KERNELS and p.device.type != "cpu":
            raise RuntimeError(
                f"{type(self).__name__} has no fused kernel on {p.device.type}: its fastest form "
                "there is foreach=True"
            )
        state = self.state[p]
        w = Tensors([real(p)])
        if self.counts:
            state.setdefault("step", _no_steps(group, p))
        initial = method.init(w)
        start = {part: getattr(initial, part) for part in self.parts}
        if self.moves_query:
            start["iterate"] = w
        for name, vector in start.items():
            if vector is not None and self._keys[name] not in state:
                state[self._keys[name]] = of_kind(p, vector.values[0].clone())

    def _heed(self, p: Tensor) -> None:
        """Where the entries of p were changed since the last step, the path starts anew from them.

        What was written since is compared with where the step led: entries that are still there
        go on as if nothing had been written.
        """
        now = _written(p)
        written, method = self._left.get(p, (now, None))
        if method is None or written == now or not (state := self.state[p]):
            return
        w, kept = state["iterate"], {part: state[key] for part, key in self.parts.items()}
        stood = method.query(w, self.carried(0, **kept))
        # The step may have rounded the last sum, and what it adds to w, the other way.
        reach = stood.abs() + 4 * (stood - w).abs()
        stays = (p - stood).abs() <= torch.finfo(p.dtype).eps * reach
        initial = method.init(p)
        for part, tensor in kept.items():
            state[self.parts[part]] = torch.where(stays, tensor, getattr(initial, part))
        state["iterate"] = torch.where(stays, w, p)

    def _put_beside(self, group: Mapping[str, Any]) -> None:
        """Move counts of steps to where the parameters lie, where they began on the host."""
        for p in group["params"]:
            held = self.state.get(p)
            if held and "step" in held:
                held["step"] = held["step"].to(p.device)

    def _count(self, lists: Together) -> None:
        """One step more."""
        if self.counts:
            steps = lists.steps
            if steps[0].is_cpu:  # torch would make a tensor of a number anew for each of them
                torch._foreach_add_(steps, torch.ones((), dtype=steps[0].dtype), alpha=1.0)
            else:
                torch._foreach_add_(steps, 1)


def _written(p: Tensor) -> Written:
    """What changes when something is written into a parameter, or other data put under it."""
    return p._version, p.data_ptr()


def _no_steps(group: Mapping[str, Any], p: Tensor) -> Tensor:
    """A count of steps as torch keeps it: beside the parameter where the host must not wait."""
    beside = group["fused"] or group.get("capturable", False)
    doubles = torch.get_default_dtype() == torch.float64 and not group["fused"]
    dtype = torch.float64 if doubles else torch.float32
    return torch.zeros((), dtype=dtype, device=p.device if beside else "cpu")


def _holds_tensor(option: Any) -> bool:
    return (
        any(map(_holds_tensor, option))
        if isinstance(option, tuple | list)
        else isinstance(option, Tensor)
    )


def _is_fixed(option: Any) -> bool:
    """Whether an option says the same as long as it is the same object."""
    if isinstance(option, tuple):
        return all(map(_is_fixed, option))
    return option is None or isinstance(option, Real)


def _number(option: Any) -> Any:
    """An option as a number: a tensor is read."""
    if isinstance(option, tuple | list):
        return tuple(map(_number, option))
    return option.item() if isinstance(option, Tensor) else option


def _scalar(option: Any) -> Any:
    """An option as it is, a tensor as 0-d."""
    if isinstance(option, tuple | list):
        return tuple(map(_scalar, option))
    return option.reshape(()) if isinstance(option, Tensor) else option
