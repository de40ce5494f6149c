"""What holds for every method, as a table of checks that a method passes or fails."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from gradus.methods.hyperparameters import Number
from gradus.methods.line_search import ROUNDING
from gradus.methods.method import Batch, Method, Oracle, Point, State
from gradus.methods.schedules import learning_rate
from gradus.risk.tensors import Tensors
from gradus.testing.problems import PROBLEMS, Problem, problem

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

# Two orders of the same operations differ by rounding, 1e-16 a step; a method may let such a
# difference grow a millionfold over the few steps taken here, and no further.
TOLERANCE = 1e-9

# Runs that go together as the rows of [K, d] start at these parts of the start, or with these parts
# of each hyper-parameter.
SHARES = (1.0, 0.6)

# Descent ends within this part of the fall from the start to the minimum, for so many steps.
NEAR, STAYS, STEPS = 0.01, 10, 300

# Methods whose steps are about lr long, however steep f is, must get there in those steps: where
# the minimum is further away than so many learning rates, it is brought as near as that.
REACHES = (100.0, 10.0)

# What does not depend on how f is conditioned, nor on whether it is convex, is checked on these.
VARIED = ("badly-conditioned", "rosenbrock", "network")
TWO = ("badly-conditioned", "network")
RISKS = ("logistic", "network")


@dataclass(frozen=True)
class Check:
    """One line of the table.

    Attributes:
        name: of the check.
        holds: what it finds true of a method, or says is not.
        run: raises AssertionError, with what differs, where a method fails on a problem.
        problems: on which it is run.
        dtypes: in which they are.
        devices: whether it is run on every kind of device that there is, or on the CPU alone. One
            that there is everywhere is "meta", for the quadratic: its tensors have no numbers.
    """

    name: str
    holds: str
    run: Callable[[Method, Problem], None]
    problems: tuple[str, ...] = PROBLEMS
    dtypes: tuple[torch.dtype, ...] = (torch.float64,)
    devices: bool = False


@dataclass(frozen=True)
class Case:
    """A check of one method, on one problem in one dtype.

    Attributes:
        method: the method.
        check: the line of the table.
        problem: the name of the problem.
        dtype: of its numbers.
        device: where they lie.
    """

    method: Method
    check: Check
    problem: str
    dtype: torch.dtype
    device: str = "cpu"

    def __str__(self) -> str:
        """``check-problem-dtype``, to name a test by."""
        on_device = "" if self.device == "cpu" else f"-{self.device}"
        return f"{self.check.name}-{self.problem}-{_name(self.dtype)}{on_device}"

    def run(self) -> None:
        r"""Check it, with f scaled so that the largest learning rate of the method is $1 / L$.

        Where numbers of the dtype cannot be as large as that, the learning rate is smaller.

        Raises:
            AssertionError: the method fails; says at what, where, and what differs.
        """
        try:
            self.check.run(self.method, _scaled(self.method, self))
        except Exception as error:
            on_device = "" if self.device == "cpu" else f" on {self.device}"
            said = str(error)
            if not isinstance(error, AssertionError):
                said = f"it raises {type(error).__name__}: {said}"
            raise AssertionError(
                f"{_called(self.method)} fails {self.check.name} on {self.problem} "
                f"in {_name(self.dtype)}{on_device}: {said}"
            ) from error


def check_method(
    method: Method,
    *,
    descends: bool = True,
    monotone: bool = False,
    batches: bool = True,
    problems: Sequence[str] = PROBLEMS,
    dtypes: Sequence[torch.dtype] = DTYPES,
) -> None:
    r"""Run every check that applies to a method: all cases of :func:`cases`, until one fails.

    Args:
        method: any :class:`~gradus.methods.Method`, for one run: its hyper-parameters are numbers.
        descends: whether f comes to stay near its minimum where f is convex and the learning rate
            at most $1 / L$. A method whose steps are about ``lr`` long, however steep f is, may
            start 10 or 100 of them away. Not so where a method climbs, decays w, or takes steps
            that are large and do not shrink: give a smaller ``lr``, or declare it.
        monotone: whether f never rises with such a learning rate.
        batches: whether a step sees f on its batch alone. Not so where it also looks at all of f,
            as methods that reduce the variance of their gradients do.
        problems: on which the method is defined; all of them, unless it needs convexity, say.
        dtypes: in which it is.

    Raises:
        AssertionError: the method fails a check; says which, on what problem, and what differs.
        TypeError: the method is not a Method.
        ValueError: there is no such problem.

    Example:
        >>> import gradus
        >>> gradus.testing.check_method(gradus.methods.GradientDescent(lr=0.1), monotone=True)
        >>> momentum = gradus.methods.Polyak(lr=0.1, beta=0.9)
        >>> gradus.testing.check_method(momentum, monotone=True)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        AssertionError: Polyak(lr=0.1, beta=0.9) fails monotonicity on quadratic in float64: ...
    """
    for case in cases(
        method,
        descends=descends,
        monotone=monotone,
        batches=batches,
        problems=problems,
        dtypes=dtypes,
    ):
        case.run()


def cases(
    method: Method,
    *,
    descends: bool = True,
    monotone: bool = False,
    batches: bool = True,
    problems: Sequence[str] = PROBLEMS,
    dtypes: Sequence[torch.dtype] = DTYPES,
) -> list[Case]:
    """Every check that applies to a method, each to be run as a test of its own.

    Args:
        method: as :func:`check_method` takes it, with all else.
        descends: whether f comes to stay near its minimum.
        monotone: whether f never rises.
        batches: whether a step sees f on its batch alone.
        problems: on which the method is defined.
        dtypes: in which it is.

    Raises:
        TypeError: the method is not a Method.
        ValueError: there is no such problem.

    Example:
        >>> import gradus
        >>> cases = gradus.testing.cases(gradus.methods.GradientDescent(lr=0.1))
        >>> print(cases[0])
        dtype-quadratic-float16
        >>> cases[0].run()
    """
    if not isinstance(method, Method):
        raise TypeError(f"method must be a Method, such as GradientDescent(lr=0.1), not {method!r}")
    for name in problems:
        problem(name)
    left_out = set()
    if not descends:
        left_out.add("descent")
    if not monotone:
        left_out.add("monotonicity")
    if not batches:
        left_out.add("batches")
    if not _has_numbers(method):
        left_out |= {"numbers", "columns"}
    return [
        Case(method, check, name, dtype, device)
        for check in CHECKS
        if check.name not in left_out
        for name in check.problems
        if name in problems
        for dtype in check.dtypes
        if dtype in dtypes
        for device in _devices(check, name)
    ]


def _devices(check: Check, problem: str) -> Iterator[str]:
    yield "cpu"
    if check.devices and problem == "quadratic":
        yield "meta"
    if check.devices and torch.cuda.is_available():
        yield "cuda"


def _called(method: Method) -> str:
    """What a message calls the method: not by an address."""
    plain = type(method).__repr__ is object.__repr__
    return type(method).__name__ if plain else repr(method)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _scaled(method: Method, case: Case) -> Problem:
    """The problem of a case, with f scaled so that the largest learning rate is 1 / L."""
    found, largest = problem(case.problem, case.dtype, case.device), _largest_lr(method)
    if largest == 0:
        return found
    # The square of a gradient is to be a number still.
    curvature = min(1 / largest, torch.finfo(case.dtype).max ** 0.5 / 10)
    return found.scaled(found.largest_lr / 2 * curvature)


def _largest_lr(method: Method) -> float:
    return max(float(learning_rate(method.lr, step)) for step in range(STEPS))


# Points and states, looked into.

Leaves = list[tuple[str, Any]]


def leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Every tensor and every other value in a point or a state, with its place."""
    if isinstance(value, Tensors):
        value = value.values
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from leaves(getattr(value, field.name), f"{place}.{field.name}")
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            yield from leaves(each, f"{place}[{index}]")
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, f"{place}[{key!r}]")
    elif hasattr(value, "__dict__") and not isinstance(value, Tensor | type):
        yield from leaves(vars(value), place)
    else:
        yield place, value


def _tensors(point: Point, state: State) -> Leaves:
    """Every tensor of numbers in a point and a state."""
    found = (*leaves(point, "w"), *leaves(state, "state"))
    return [(place, each) for place, each in found if _is_number(each)]


def _is_number(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def snapshot(value: Any, place: str) -> Leaves:
    """The value as it is now."""
    return [
        (place, each.clone() if isinstance(each, Tensor) else each)
        for place, each in leaves(value, place)
    ]


def difference(one: Leaves, other: Leaves) -> str | None:
    """Where two values first differ, in any bit; None where they are the same."""
    if [place for place, _ in one] != [place for place, _ in other]:
        return "what is in it"
    for (place, a), (_, b) in zip(one, other, strict=True):
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            same = a.shape == b.shape and a.dtype == b.dtype
            same = same and bool(((a == b) | ((a != a) & (b != b))).all())
        else:
            same = a is b or bool(a == b)
        if not same:
            return place
    return None


def walk(
    method: Method, f: Oracle, w: Point, steps: int, state: State | None = None
) -> Iterator[tuple[Point, State]]:
    """Each point of a path, with its state; from a start of its own, or from a kept state on."""
    return follow(method, w, [(f, None)] * steps, state)


def follow(
    method: Method, w: Point, seen: Iterable[tuple[Oracle, Batch]], state: State | None = None
) -> Iterator[tuple[Point, State]]:
    """Each point of a path, with its state, where every step sees an f and a batch of its own."""
    if state is None:
        w = w + 0.0
        state = method.init(w)
    yield w, state
    for f, batch in seen:
        w, state = method.step(f, w, state, batch)
        yield w, state


def listed(w: Tensor) -> Tensors:
    """A vector as a list of tensors: a matrix, a number, and what is left."""
    parts = [w[:2].clone().view(2, 1), w[2].clone()]
    return Tensors([*parts, w[3:].clone()] if len(w) > 3 else parts)


FORMS: dict[str, Callable[[Tensor], Point]] = {
    "as a vector": torch.clone,
    "as a list of tensors": listed,
}


def _fail(what: str) -> NoReturn:
    raise AssertionError(what)


def _require_close(ours: Tensor, expected: Tensor, what: str) -> None:
    """Two paths, ``[steps + 1, ...]``, that may differ by rounding."""
    if ours.shape != expected.shape:
        _fail(f"{what}: a point has shape {tuple(ours.shape[1:])}, not {tuple(expected.shape[1:])}")
    apart = (ours - expected).abs() / (1 + expected.abs())
    for step, distance in enumerate(apart.flatten(1).amax(dim=1).tolist()):
        if not distance <= TOLERANCE:
            _fail(f"{what}: after step {step} they are {distance:.2g} apart")


# The checks.


def _keeps_dtype(method: Method, problem: Problem) -> None:
    for form, make in FORMS.items():
        for step, (w, state) in enumerate(walk(method, problem.f, make(problem.start), 2)):
            for place, each in _tensors(w, state):
                if each.dtype != problem.start.dtype:
                    _fail(f"{place} is {_name(each.dtype)} after step {step}, w {form}")


class _AsksForNumberError(Exception):
    """What is done next depends on numbers, and there are none."""


class _WithoutNumbers(TorchDispatchMode):
    """Ends a method, on the device that has no numbers, where it asks for one."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        asks = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(func.tags)
        if asks and args[0].is_meta:
            raise _AsksForNumberError
        return func(*args, **(kwargs or {}))


def _keeps_device(method: Method, problem: Problem) -> None:
    """On "meta" as far as the method goes without a number: a line search needs one, a state not.

    It is there that tensors made on the CPU differ from those of w on a machine with no other
    device.
    """
    for form, make in FORMS.items():
        with contextlib.ExitStack() as stack:
            if problem.start.is_meta:
                stack.enter_context(contextlib.suppress(_AsksForNumberError))
                stack.enter_context(_WithoutNumbers())  # type: ignore[no-untyped-call]
            for step, (w, state) in enumerate(walk(method, problem.f, make(problem.start), 2)):
                for place, each in _tensors(w, state):
                    if each.device != problem.start.device:
                        _fail(f"{place} is on {each.device} after step {step}, w {form}")


class _Watched:
    """An oracle that remembers what it gave, and how that was."""

    def __init__(self, f: Any, given: list[tuple[str, Any, Leaves]] | None = None) -> None:
        self.f = f
        self.given: list[tuple[str, Any, Leaves]] = [] if given is None else given

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.f, name)
        if name == "smooth":
            return _Watched(found, self.given)
        return partial(self._asked, name, found) if callable(found) else found

    def _asked(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        result = function(*arguments)
        self.given.append((name, result, snapshot(result, name)))
        return result


def _is_pure(method: Method, problem: Problem) -> None:
    for form, make in FORMS.items():
        f, w = _Watched(problem.f), make(problem.start)
        before = snapshot(w, "w")
        state = method.init(w)
        if difference(before, snapshot(w, "w")):
            _fail(f"init changes w, given {form}")
        for step in range(4):
            before = snapshot(w, "w") + snapshot(state, "state")
            after = method.step(f, w, state)
            changed = difference(before, snapshot(w, "w") + snapshot(state, "state"))
            for name, result, as_given in f.given:
                changed = changed or difference(as_given, snapshot(result, name))
            if changed:
                _fail(f"step {step} changes {changed}, which it was given; w {form}")
            w, state = after


def _is_deterministic(method: Method, problem: Problem) -> None:
    paths = [list(walk(method, problem.f, problem.start, 5)) for _ in range(2)]
    for step, (one, other) in enumerate(zip(*paths, strict=True)):
        apart = difference(snapshot(one, ""), snapshot(other, ""))
        if apart:
            _fail(f"two runs from the same start are not the same to the bit after step {step}")
        for place, each in _tensors(*one):
            if not each.isfinite().all():
                _fail(f"{place} is not finite after step {step}")


def _rewinds(method: Method, problem: Problem) -> None:
    for form, make in FORMS.items():
        whole = list(walk(method, problem.f, make(problem.start), 5))
        list(walk(method, problem.f, make(0.6 * problem.start), 1))
        w, state = whole[2]
        for step, (one, other) in enumerate(
            zip(walk(method, problem.f, w, 3, state), whole[2:], strict=True), start=2
        ):
            if difference(snapshot(one, ""), snapshot(other, "")):
                _fail(
                    "continued from the point and the state kept after step 2, the run is not the "
                    f"same to the bit after step {step}, w {form}"
                )


def _flat_path(path: Iterable[tuple[Point, State]]) -> Tensor:
    return torch.stack([w.flat() if isinstance(w, Tensors) else w for w, _ in path])


def _moves_rows_apart(method: Method, problem: Problem) -> None:
    starts = torch.stack([share * problem.start for share in SHARES])
    together = _flat_path(walk(method, problem.f, starts, 4))
    for k, start in enumerate(starts):
        alone = _flat_path(walk(method, problem.f, start, 4))
        _require_close(
            together[:, k] if together.dim() == 3 else together,
            alone,
            f"row {k} of [K, d] does not go where it goes alone",
        )


def _moves_lists(method: Method, problem: Problem) -> None:
    flat = walk(method, problem.f, problem.start, 4)
    parts = list(walk(method, problem.f, listed(problem.start), 4))
    shapes = [value.shape for value in parts[0][0].values]
    for step, (w, _) in enumerate(parts):
        if not isinstance(w, Tensors) or [value.shape for value in w.values] != shapes:
            _fail(f"after step {step} w is no longer a list of tensors of its shapes")
    what = "a list of tensors does not go where the flat vector goes"
    _require_close(_flat_path(parts), _flat_path(flat), what)


def _takes_numbers_as_tensors(method: Method, problem: Problem) -> None:
    given = with_numbers(method, lambda number: torch.full_like(problem.start[0], number))
    numbers = _flat_path(walk(method, problem.f, problem.start, 4))
    tensors = _flat_path(walk(given, problem.f, problem.start, 4))
    what = "with hyper-parameters that are 0-d tensors it goes elsewhere than with the numbers"
    _require_close(tensors, numbers, what)


def _takes_columns(method: Method, problem: Problem) -> None:
    def column(number: float) -> Tensor:
        return problem.start.new_tensor([[share * number] for share in SHARES])

    starts = problem.start.repeat(len(SHARES), 1)
    together = _flat_path(walk(with_numbers(method, column), problem.f, starts, 4))
    for k, share in enumerate(SHARES):
        own = with_numbers(method, share.__mul__)
        alone = _flat_path(walk(own, problem.f, problem.start, 4))
        what = f"row {k} of [K, d] does not go where its entry of the hyper-parameters [K, 1] leads"
        _require_close(together[:, k] if together.dim() == 3 else together, alone, what)


def _moves_by_the_batch(method: Method, problem: Problem) -> None:
    """Each step on a batch is that on a risk of its examples alone."""
    cut = [(problem.f, batch) for batch in problem.batches]
    alone = [(problem.f.on(batch), None) for batch in problem.batches]
    ours, expected = (_flat_path(follow(method, problem.start, seen)) for seen in (cut, alone))
    what = "a step on a batch does not go where it goes on a risk of those examples alone"
    _require_close(ours, expected, what)


def _descends(method: Method, problem: Problem) -> None:
    r"""From the start, or else from nearer, which helps methods that do not feel how steep f is.

    The nearer problem is $s^2 f(w / s)$, with s from 0 to 1: of the same curvature, and with every
    distance s times as long. Whatever moves by a multiple of the gradient, or by Newton's step,
    takes the same path there, s times as long. Steps that are about lr long are 1 / s times as
    long, beside the distance.
    """
    lr = _largest_lr(method)
    lengths = [1.0, *(reach * lr for reach in REACHES if 0 < reach * lr < 1)]
    missed: list[list[float]] = []
    for length in lengths:
        parts = _heights(method, problem.scaled(1.0, length))
        if _stays(parts):
            return
        missed.append(parts)
    _fail(
        f"f does not come to stay within {NEAR:.0%} of its fall to the minimum: after {STEPS} "
        f"steps it is at {100 * missed[0][-1]:.2g}%, at its lowest at {100 * min(missed[0]):.2g}%; "
        "is lr too large, or too small?"
    )


def _heights(method: Method, problem: Problem) -> list[float]:
    """How much of the fall is left after each step, up to the last or until f stays near."""
    assert problem.minimum is not None
    w = problem.start.clone()
    state = method.init(w)
    fall = problem.f.value(w).item() - problem.minimum
    parts: list[float] = []
    while len(parts) < STEPS and not _stays(parts):
        w, state = method.step(problem.f, w, state)
        parts.append((problem.f.value(w).item() - problem.minimum) / fall)
    return parts


def _stays(parts: list[float]) -> bool:
    """Whether the last of them are all near the minimum."""
    return len(parts) >= STAYS and all(part <= NEAR for part in parts[-STAYS:])


def _never_rises(method: Method, problem: Problem) -> None:
    values = [problem.f.value(w).item() for w, _ in walk(method, problem.f, problem.start, 12)]
    for step, (before, after) in enumerate(itertools.pairwise(values)):
        rounding = 2 * ROUNDING * torch.finfo(problem.start.dtype).eps * abs(before)
        if not after <= before + rounding:
            _fail(f"step {step} raises f by {after - before:.2g}, from {before:.3g}")


CHECKS: tuple[Check, ...] = (
    Check(
        "dtype",
        "points and states keep the dtype of w",
        _keeps_dtype,
        dtypes=DTYPES,
        problems=("quadratic", "logistic", "network"),
    ),
    Check(
        "device",
        "points and states stay on the device of w",
        _keeps_device,
        dtypes=(torch.float32,),
        problems=("quadratic", "network"),
        devices=True,
    ),
    Check("purity", "w, the state, and all that f gave are left as they were", _is_pure, VARIED),
    Check(
        "determinism",
        "two runs are the same to the bit, and finite",
        _is_deterministic,
        TWO,
    ),
    Check("rewinding", "a run goes on from any point and state, to the bit", _rewinds, VARIED),
    Check("rows", "[K, d] is K separate runs", _moves_rows_apart, TWO),
    Check("lists", "a list of tensors moves as the flat vector", _moves_lists, VARIED),
    Check("numbers", "0-d tensors give what the numbers give", _takes_numbers_as_tensors, TWO),
    Check("columns", "hyper-parameters [K, 1] are those of K runs", _takes_columns, TWO),
    Check(
        "batches",
        "a step on a batch is that on a risk of its examples",
        _moves_by_the_batch,
        RISKS,
    ),
    Check(
        "descent",
        "f comes to stay near its minimum",
        _descends,
        ("quadratic", "badly-conditioned", "logistic"),
    ),
    Check("monotonicity", "f never rises", _never_rises),
)
"""Every check, in the order in which they are run."""


# Hyper-parameters, wherever a method keeps them.


def with_numbers(method: Any, change: Callable[[float], Number]) -> Any:
    """The method with each hyper-parameter that is a number, and not 0, changed."""
    if dataclasses.is_dataclass(method) and not isinstance(method, type):
        names = [field.name for field in dataclasses.fields(method) if field.init]
        changed = {name: _changed(name, getattr(method, name), change) for name in names}
        return dataclasses.replace(method, **changed)
    twin = copy.copy(method)
    for name, value in vars(method).items():
        setattr(twin, name, _changed(name, value, change))
    return twin


def _changed(name: str, value: Any, change: Callable[[float], Number]) -> Any:
    if isinstance(value, Method):
        return with_numbers(value, change)
    if isinstance(value, tuple):
        return tuple(_changed(name, each, change) for each in value)
    is_number = isinstance(value, float) or (name == "lr" and type(value) is int)
    return change(float(value)) if is_number and value != 0 else value


def _has_numbers(method: Method) -> bool:
    found: list[float] = []

    def noted(number: float) -> float:
        found.append(number)
        return number

    with_numbers(method, noted)
    return bool(found)
