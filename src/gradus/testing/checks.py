"""What each check does: it raises AssertionError, with what differs, where a method fails."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from gradus.methods.layout import begun
from gradus.methods.line_search import ROUNDING
from gradus.methods.method import Method
from gradus.methods.schedules import learning_rate
from gradus.risk.tensors import Tensors
from gradus.testing.paths import (
    FORMS,
    Leaves,
    difference,
    flat_path,
    follow,
    layout,
    listed,
    snapshot,
    tensors_in,
    walk,
    with_numbers,
)
from gradus.testing.problems import Problem

# Two orders of the same operations differ by rounding, 1e-16 a step; a method may let such a
# difference grow a millionfold over the few steps taken here, and no further.
TOLERANCE = 1e-9

# Runs that go together as the rows of [K, d] start at these parts of the start, or with these parts
# of each hyper-parameter.
SHARES = (1.0, 0.6)

# Descent ends within this part of the fall from the start to the minimum, for so many steps.
NEAR, STAYS, STEPS = 0.01, 10, 300

# A method that starts slowly may take up to four times as many steps, as long as what is left of
# the fall halves in every hundred of them.
HALVES, MOST = STEPS // 3, 4 * STEPS

# Methods whose steps are about lr long, however steep f is, must get there in those steps: where
# the minimum is further away than so many learning rates, it is brought as near as that.
REACHES = (100.0, 10.0)


def name_of(dtype: torch.dtype) -> str:
    """The dtype as torch names it: ``float16``."""
    return str(dtype).removeprefix("torch.")


def largest_lr_of(method: Method) -> float:
    """The largest learning rate of a method within the steps that descent is given."""
    return max(float(learning_rate(method.lr, step)) for step in range(STEPS))


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


def keeps_dtype(method: Method, problem: Problem) -> None:
    """Points and states have the dtype of w after every step."""
    for form, make in FORMS.items():
        for step, (w, state) in enumerate(walk(method, problem.f, make(problem.start), 2)):
            for place, each in tensors_in(w, state):
                if each.dtype != problem.start.dtype:
                    _fail(f"{place} is {name_of(each.dtype)} after step {step}, w {form}")


def stays_finite_at_zero(method: Any, problem: Problem) -> None:
    """A first-order method stays finite where an entry has gradient 0, as in a masked row."""
    mask = torch.ones_like(problem.start)
    mask[::2] = 0.0
    for form, make in FORMS.items():
        w = make(problem.start)
        state = begun(method, w, layout(w))
        for step in range(3):
            g = problem.f.gradient(method.query(w, state))
            w, state = method.update(w, g * make(mask), state)
            for place, each in tensors_in(w, state):
                if not each.isfinite().all():
                    _fail(
                        f"{place} is not finite after step {step}, where entries have no gradient; "
                        f"w {form}"
                    )


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


def keeps_device(method: Method, problem: Problem) -> None:
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
                for place, each in tensors_in(w, state):
                    if each.device != problem.start.device:
                        _fail(f"{place} is on {each.device} after step {step}, w {form}")


class _RecordingOracle:
    """An oracle that keeps what it gave, with a copy of it as it was given."""

    def __init__(self, f: Any, given: list[tuple[str, Any, Leaves]] | None = None) -> None:
        self.f = f
        self.given: list[tuple[str, Any, Leaves]] = [] if given is None else given

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.f, name)
        if name == "smooth":
            return _RecordingOracle(found, self.given)
        return partial(self._recorded, name, found) if callable(found) else found

    def _recorded(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        result = function(*arguments)
        self.given.append((name, result, snapshot(result, name)))
        return result


def is_pure(method: Method, problem: Problem) -> None:
    """Neither w, the state, nor what f gave has changed after a step."""
    for form, make in FORMS.items():
        f, w = _RecordingOracle(problem.f), make(problem.start)
        before = snapshot(w, "w")
        state = begun(method, w, layout(w))
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


def is_deterministic(method: Method, problem: Problem) -> None:
    """Two runs from one start are the same to the bit, and finite."""
    paths = [list(walk(method, problem.f, problem.start, 5)) for _ in range(2)]
    for step, (one, other) in enumerate(zip(*paths, strict=True)):
        apart = difference(snapshot(one, ""), snapshot(other, ""))
        if apart:
            _fail(f"two runs from the same start are not the same to the bit after step {step}")
        for place, each in tensors_in(*one):
            if not each.isfinite().all():
                _fail(f"{place} is not finite after step {step}")


def rewinds(method: Method, problem: Problem) -> None:
    """A run that goes on from a kept point and state repeats the rest of the first, to the bit."""
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


def moves_rows_separately(method: Method, problem: Problem) -> None:
    """Each row of ``[K, d]`` goes where it goes as a run of its own."""
    starts = torch.stack([share * problem.start for share in SHARES])
    together = flat_path(walk(method, problem.f, starts, 4))
    for k, start in enumerate(starts):
        alone = flat_path(walk(method, problem.f, start, 4))
        _require_close(
            together[:, k] if together.dim() == 3 else together,
            alone,
            f"row {k} of [K, d] does not go where it goes alone",
        )


def moves_lists(method: Method, problem: Problem) -> None:
    """A list of tensors keeps its shapes and goes where the flat vector goes."""
    flat = walk(method, problem.f, problem.start, 4)
    parts = list(walk(method, problem.f, listed(problem.start), 4))
    shapes = [value.shape for value in parts[0][0].values]
    for step, (w, _) in enumerate(parts):
        if not isinstance(w, Tensors) or [value.shape for value in w.values] != shapes:
            _fail(f"after step {step} w is no longer a list of tensors of its shapes")
    what = "a list of tensors does not go where the flat vector goes"
    _require_close(flat_path(parts), flat_path(flat), what)


def takes_numbers_as_tensors(method: Method, problem: Problem) -> None:
    """0-d tensors as hyper-parameters lead where the numbers lead."""
    given = with_numbers(method, lambda number: torch.full_like(problem.start[0], number))
    numbers = flat_path(walk(method, problem.f, problem.start, 4))
    tensors = flat_path(walk(given, problem.f, problem.start, 4))
    what = "with hyper-parameters that are 0-d tensors it goes elsewhere than with the numbers"
    _require_close(tensors, numbers, what)


def takes_columns(method: Method, problem: Problem) -> None:
    """Hyper-parameters ``[K, 1]`` lead each row where its own numbers lead."""

    def column(number: float) -> Tensor:
        return problem.start.new_tensor([[share * number] for share in SHARES])

    starts = problem.start.repeat(len(SHARES), 1)
    together = flat_path(walk(with_numbers(method, column), problem.f, starts, 4))
    for k, share in enumerate(SHARES):
        own = with_numbers(method, share.__mul__)
        alone = flat_path(walk(own, problem.f, problem.start, 4))
        what = f"row {k} of [K, d] does not go where its entry of the hyper-parameters [K, 1] leads"
        _require_close(together[:, k] if together.dim() == 3 else together, alone, what)


def moves_by_the_batch(method: Method, problem: Problem) -> None:
    """Each step on a batch is that on a risk of its examples alone."""
    cut = [(problem.f, batch) for batch in problem.batches]
    alone = [(problem.f.on(batch), None) for batch in problem.batches]
    ours, expected = (flat_path(follow(method, problem.start, seen)) for seen in (cut, alone))
    what = "a step on a batch does not go where it goes on a risk of those examples alone"
    _require_close(ours, expected, what)


def descends(method: Method, problem: Problem) -> None:
    r"""From the start, or else from nearer, which helps methods that do not feel how steep f is.

    The nearer problem is $s^2 f(w / s)$, with s from 0 to 1: of the same curvature, and with every
    distance s times as long. Whatever moves by a multiple of the gradient, or by Newton's step,
    takes the same path there, s times as long. Steps that are about lr long are 1 / s times as
    long, beside the distance.
    """
    lr = largest_lr_of(method)
    lengths = [1.0, *(reach * lr for reach in REACHES if 0 < reach * lr < 1)]
    missed: list[list[float]] = []
    for length in lengths:
        parts = _heights(method, problem.scaled(1.0, length))
        if _stays(parts):
            return
        missed.append(parts)
    _fail(
        f"f does not come to stay within {NEAR:.0%} of its fall to the minimum: after "
        f"{len(missed[0])} steps it is at {100 * missed[0][-1]:.2g}%, at its lowest at "
        f"{100 * min(missed[0]):.2g}%; "
        "is lr too large, or too small?"
    )


def _heights(method: Method, problem: Problem) -> list[float]:
    """How much of the fall is left after each step, until f stays near or comes no nearer."""
    assert problem.minimum is not None
    w = problem.start.clone()
    state = begun(method, w, layout(w))
    fall = problem.f.value(w).item() - problem.minimum
    parts: list[float] = []
    while _goes_on(parts) and not _stays(parts):
        w, state = method.step(problem.f, w, state)
        parts.append((problem.f.value(w).item() - problem.minimum) / fall)
    return parts


def _goes_on(parts: list[float]) -> bool:
    """Whether there are steps left, or f still falls fast."""
    taken = len(parts)
    return taken < STEPS or (taken < MOST and 2 * parts[-1] <= parts[-1 - HALVES])


def _stays(parts: list[float]) -> bool:
    """Whether the last of them are all near the minimum."""
    return len(parts) >= STAYS and all(part <= NEAR for part in parts[-STAYS:])


def never_rises(method: Method, problem: Problem) -> None:
    """No step raises f by more than rounding."""
    values = [problem.f.value(w).item() for w, _ in walk(method, problem.f, problem.start, 12)]
    for step, (before, after) in enumerate(itertools.pairwise(values)):
        rounding = 2 * ROUNDING * torch.finfo(problem.start.dtype).eps * abs(before)
        if not after <= before + rounding:
            _fail(f"step {step} raises f by {after - before:.2g}, from {before:.3g}")
