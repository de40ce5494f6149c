"""The suite can fail: each way of breaking a method is caught by the check that is meant for it."""

import contextlib
import random
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from gradus.methods import GradientAtIterate, GradientDescent, InverseTime, Newton
from gradus.risk.tensors import Tensors
from gradus.testing import CHECKS, PROBLEMS, cases, check_method, problem

# Where a check begins.
HALF = "quadratic in float16"
EXACT = "badly-conditioned in float64"
WELL = "quadratic in float64"
RISK = "logistic in float64"
META = "quadratic in float32 on meta"


@dataclass(frozen=True)
class Plain(GradientAtIterate):
    """A healthy method with a state of its own, for the broken ones to be made of."""

    lr: Any = 0.1

    @dataclass(frozen=True)
    class State:
        step: int
        g: Any

    def init(self, w):
        return self.State(0, 0 * w)

    def update(self, w, g, state):
        return w - self.lr * g, self.State(state.step + 1, g)


def values_of(point):
    return point.values if isinstance(point, Tensors) else (point,)


class ChangesW(Plain):
    def update(self, w, g, state):
        after, state = super().update(w, g, state)
        for old, new in zip(values_of(w), values_of(after), strict=True):
            old.copy_(new)
        return w, state


class ChangesTheGradient(Plain):
    def update(self, w, g, state):
        for value in values_of(g):
            value.mul_(0.5)
        return super().update(w, g, state)


class ChangesTheState(Plain):
    def update(self, w, g, state):
        for value in values_of(state.g):
            value.add_(1)
        return super().update(w, g, state)


class CountsInPlace(Plain):
    """The state is a dictionary, and the same one at all steps."""

    def init(self, w):
        return {"step": 0}

    def update(self, w, g, state):
        state["step"] += 1
        return w - self.lr / state["step"] ** 0.1 * g, state


class ChangesTheStart(Plain):
    def init(self, w):
        for value in values_of(w):
            value.add_(1)
        return super().init(w)


class Hides(GradientAtIterate):
    """Momentum kept on the method itself."""

    def __init__(self, lr=0.1):
        self.lr, self.buffer = lr, None

    def init(self, w):
        self.buffer = 0 * w

    def update(self, w, g, state):
        self.buffer = 0.5 * self.buffer + g
        return w - self.lr * self.buffer, None


class Widens(Plain):
    """The state in double precision, whatever that of w is."""

    def update(self, w, g, state):
        after, state = super().update(w, g, state)
        wide = [value.double() for value in values_of(g)]
        return after, replace(state, g=Tensors(wide) if isinstance(w, Tensors) else wide[0])


class Narrows(Plain):
    """The point in single precision, whatever it was."""

    def update(self, w, g, state):
        after, state = super().update(w, g, state)
        narrow = [value.float() for value in values_of(after)]
        return (Tensors(narrow) if isinstance(w, Tensors) else narrow[0]), state


class MixesRows(Plain):
    """Steps of one length, that of all rows together."""

    def update(self, w, g, state):
        return super().update(w, g / (1e-3 + g.square().sum().sqrt()), state)


class MixesTensors(Plain):
    """Each tensor of a list by its own norm, as if it were the whole of w."""

    def update(self, w, g, state):
        def shortened(value):
            squared = value.square()
            norm = (squared.sum(-1, keepdim=True) if value.dim() else squared).sqrt()
            return value / (1e-3 + norm)

        parts = [shortened(value) for value in values_of(g)]
        return super().update(w, Tensors(parts) if isinstance(w, Tensors) else parts[0], state)


class FlattensLists(Plain):
    def update(self, w, g, state):
        after, state = super().update(w, g, state)
        return (after.flat() if isinstance(w, Tensors) else after), state


class IgnoresTensors(Plain):
    def update(self, w, g, state):
        lr = self.lr if isinstance(self.lr, float) else 0.01
        return w - lr * g, self.State(state.step + 1, g)


class TakesTheFirst(Plain):
    """One learning rate for all rows."""

    def update(self, w, g, state):
        lr = self.lr.flatten()[0] if isinstance(self.lr, torch.Tensor) else self.lr
        return w - lr * g, self.State(state.step + 1, g)


class WantsANumber(Plain):
    def update(self, w, g, state):
        return w - float(self.lr) * g, self.State(state.step + 1, g)


class IgnoresTheBatch(Plain):
    def step(self, f, w, state, batch=None):
        return super().step(f, w, state)


class KeepsTheFirstBatch(Plain):
    """Each step on the batch of the first, or on all of f if that had none."""

    def init(self, w):
        return (super().init(w), None, True)

    def step(self, f, w, state, batch=None):
        state, first, none_yet = state
        first = batch if none_yet else first
        w, state = super().step(f, w, state, first)
        return w, (state, first, False)


class SearchesOnAllOfF(Plain):
    """The direction from the batch, its length from all of f."""

    def step(self, f, w, state, batch=None):
        after, state = super().step(f, w, state, batch)
        value = f.value(w)
        return w + (after - w) * (value / (1 + value)), state


class StaysOnTheCpu(Plain):
    """A state that lies there, wherever w is, and stands idle."""

    def init(self, w):
        kept = [torch.zeros(value.shape, dtype=value.dtype) for value in values_of(w)]
        return self.State(0, Tensors(kept) if isinstance(w, Tensors) else kept[0])

    def update(self, w, g, state):
        return w - self.lr * g, replace(state, step=state.step + 1)


class SearchesFromTheCpu(StaysOnTheCpu):
    """The same, where a step needs a number."""

    def update(self, w, g, state):
        if not (g * g).sum().item() >= 0:
            return w, state
        return super().update(w, g, state)


class Shortens(Plain):
    """A healthy method that asks for numbers, those of one run: no step is longer than 1."""

    def update(self, w, g, state):
        longest = max(value.abs().max().item() for value in values_of(g))
        return super().update(w, g / max(1.0, self.lr * longest), state)


@dataclass(frozen=True)
class SignDescent(GradientAtIterate):
    """Steps of one length, that do not feel how steep f is."""

    lr: Any = 0.1

    def init(self, w):
        return None

    def update(self, w, g, state):
        return w - self.lr * g.sign(), None


class SignAscent(SignDescent):
    def update(self, w, g, state):
        return super().update(w, -g, state)


class Climbs(Plain):
    def update(self, w, g, state):
        return super().update(w, -g, state)


class Stays(Plain):
    def update(self, w, g, state):
        return super().update(w, 0 * g, state)


class Overshoots(Plain):
    """To the other side of the valley, and higher."""

    def update(self, w, g, state):
        return super().update(w, 2.5 * g, state)


class Draws(Plain):
    def update(self, w, g, state):
        return super().update(w, random.uniform(0.5, 1.0) * g, state)


class Overflows(Plain):
    def update(self, w, g, state):
        return super().update(w, g * float("inf"), state)


class DividesByItsSize(Plain):
    """Steps of one length, by a quotient that is 0 / 0 where there is no gradient."""

    def update(self, w, g, state):
        return super().update(w, g / g.abs(), state)


class LosesEps(Plain):
    """The same with a divisor that is 0 in float16 alone."""

    def update(self, w, g, state):
        return super().update(w, g / (g.abs() + 1e-8), state)


class Refuses(Plain):
    def update(self, w, g, state):
        raise RuntimeError("not today")


@pytest.mark.parametrize(
    ("broken", "check", "where", "said"),
    [
        (ChangesW, "purity", EXACT, "step 0 changes w, which it was given; w as a vector"),
        (ChangesTheStart, "purity", EXACT, "init changes w, given as a vector"),
        (ChangesTheGradient, "purity", EXACT, "step 0 changes gradient, which it was given"),
        (ChangesTheState, "purity", EXACT, "step 0 changes state.g, which it was given"),
        (CountsInPlace, "purity", EXACT, "step 0 changes state['step'], which it was given"),
        (CountsInPlace, "rewinding", EXACT, "continued from the point and the state kept"),
        (Hides, "rewinding", EXACT, "continued from the point and the state kept after step 2"),
        (Draws, "rewinding", EXACT, "continued from the point and the state kept after step 2"),
        (Draws, "determinism", EXACT, "two runs from the same start are not the same to the bit"),
        (Overflows, "determinism", EXACT, "w is not finite after step 1"),
        (Widens, "dtype", HALF, "state.g is float64 after step 1, w as a vector"),
        (Narrows, "dtype", HALF, "w is float32 after step 1, w as a vector"),
        (DividesByItsSize, "zeros", HALF, "w is not finite after step 0, where entries have no"),
        (LosesEps, "zeros", HALF, "w is not finite after step 0, where entries have no gradient"),
        (Refuses, "dtype", HALF, "it raises RuntimeError: not today"),
        (MixesRows, "rows", EXACT, "row 0 of [K, d] does not go where it goes alone: after step 1"),
        (MixesTensors, "lists", EXACT, "a list of tensors does not go where the flat vector goes"),
        (FlattensLists, "lists", EXACT, "after step 1 w is no longer a list of tensors of its"),
        (IgnoresTensors, "numbers", EXACT, "with hyper-parameters that are 0-d tensors it goes"),
        (IgnoresTensors, "columns", EXACT, "row 0 of [K, d] does not go where its entry of the"),
        (TakesTheFirst, "columns", EXACT, "row 1 of [K, d] does not go where its entry of the"),
        (WantsANumber, "columns", EXACT, "it raises ValueError: only one element tensors can"),
        (IgnoresTheBatch, "batches", RISK, "a step on a batch does not go where it goes on a risk"),
        (KeepsTheFirstBatch, "batches", RISK, "a step on a batch does not go where it goes on a"),
        (SearchesOnAllOfF, "batches", RISK, "a step on a batch does not go where it goes on a"),
        (StaysOnTheCpu, "device", META, "state.g is on cpu after step 0, w as a vector"),
        (SearchesFromTheCpu, "device", META, "state.g is on cpu after step 0, w as a vector"),
        (SignAscent, "descent", WELL, "f does not come to stay within 1% of its fall to the min"),
        (Climbs, "descent", WELL, "f does not come to stay within 1% of its fall to the minimum"),
        (Stays, "descent", WELL, "f does not come to stay within 1% of its fall to the minimum"),
        (Overshoots, "monotonicity", WELL, "step 0 raises f by"),
    ],
)
def test_what_is_broken_is_caught_by_its_check(broken, check, where, said):
    meant = next(
        case
        for case in cases(broken(), monotone=True)
        if case.check.name == check and (where is META) == (case.device == "meta")
    )
    with pytest.raises(AssertionError) as caught:
        meant.run()
    called = repr(broken()) if broken is not Hides else "Hides"
    assert str(caught.value).startswith(f"{called} fails {check} on {where}: {said}")


@pytest.mark.parametrize(
    ("broken", "checks"),
    [
        (Plain, set()),
        (ChangesTheGradient, {"purity"}),
        (Hides, {"rewinding"}),
        (Widens, {"dtype"}),
        (DividesByItsSize, {"zeros", "descent"}),
        (MixesRows, {"rows", "columns"}),
        (MixesTensors, {"lists"}),
        (TakesTheFirst, {"columns"}),
        (IgnoresTheBatch, {"batches"}),
        (StaysOnTheCpu, {"device"}),
        (Stays, {"descent"}),
    ],
)
def test_no_other_check_blames_it(broken, checks):
    failed = set()
    few = ["quadratic", "badly-conditioned"]
    batches = [case for case in cases(broken(), problems=["logistic"]) if "batches" in str(case)]
    for case in cases(broken(), problems=few) + batches:
        try:
            case.run()
        except AssertionError:
            failed.add(case.check.name)
    assert failed == checks


@pytest.mark.parametrize("broken", [ChangesW, ChangesTheStart])
def test_a_broken_method_does_not_spoil_the_problems_for_others(broken):
    before = {name: problem(name).start.clone() for name in PROBLEMS}
    for case in cases(broken()):
        with contextlib.suppress(AssertionError):
            case.run()
    assert all(torch.equal(problem(name).start, start) for name, start in before.items())


def test_the_first_failure_is_raised_with_its_cause():
    with pytest.raises(AssertionError, match="not today") as caught:
        check_method(Refuses())
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_method_whose_matrix_is_not_definite_is_told_where():
    with pytest.raises(AssertionError, match=r" on network in float16: it raises NotPositiveDef"):
        check_method(Newton())


@pytest.mark.parametrize("lr", [1e-9, 10.0])
def test_a_gradient_step_passes_whatever_its_length(lr):
    check_method(GradientDescent(lr), monotone=True)


def test_where_the_minimum_is_nearer_gradient_steps_take_the_same_path():
    plain, near = problem("logistic"), problem("logistic").scaled(1.0, 0.25)
    for method in (Plain(0.9 * plain.largest_lr), Newton()):
        w, close = plain.start, near.start
        state, own = method.init(w), method.init(close)
        for _ in range(20):
            w, state = method.step(plain.f, w, state)
            close, own = method.step(near.f, close, own)
            # Products with a power of 2 are exact.
            assert torch.equal(0.25 * w, close)


@pytest.mark.parametrize("lr", [1e-7, 1e-4, 0.01])
def test_steps_of_one_length_descend_from_where_they_can_come_from(lr):
    for case in cases(SignDescent(lr), problems=["badly-conditioned"]):
        if case.check.name == "descent":
            case.run()


@pytest.mark.parametrize("broken", [Stays, Climbs, SignAscent])
def test_a_short_step_excuses_no_other_fault(broken):
    for case in cases(broken(1e-4), problems=["quadratic"]):
        if case.check.name == "descent":
            with pytest.raises(AssertionError, match="f does not come to stay within 1%"):
                case.run()


def test_a_method_that_asks_for_numbers_is_not_blamed_for_it():
    for case in cases(Shortens()):
        if case.check.name == "device":
            case.run()


class TestDeclarations:
    def test_what_is_declared_chooses_the_cases(self):
        names = {case.check.name for case in cases(Plain(), monotone=True)}
        assert names == {check.name for check in CHECKS}
        assert names - {case.check.name for case in cases(Plain())} == {"monotonicity"}
        left_out = names - {case.check.name for case in cases(Plain(), descends=False)}
        assert left_out == {"monotonicity", "descent"}
        left_out = names - {case.check.name for case in cases(Plain(), batches=False)}
        assert left_out == {"monotonicity", "batches"}

    def test_a_schedule_is_no_number_to_be_a_tensor(self):
        scheduled = {case.check.name for case in cases(Plain(InverseTime(0.1, gamma=0.5)))}
        assert not scheduled & {"numbers", "columns"}

    def test_problems_and_dtypes_may_be_fewer(self):
        chosen = cases(Plain(), problems=["logistic"], dtypes=[torch.bfloat16, torch.float64])
        assert {case.problem for case in chosen} == {"logistic"}
        assert {case.dtype for case in chosen} == {torch.bfloat16, torch.float64}

    def test_names_are_those_of_tests(self):
        names = [str(case) for case in cases(Plain())]
        assert len(set(names)) == len(names)
        assert names[0] == "dtype-quadratic-float16"

    def test_the_device_is_checked_on_cuda_where_there_is_one(self, monkeypatch):
        for available, devices in ((False, {"cpu", "meta"}), (True, {"cpu", "meta", "cuda"})):
            monkeypatch.setattr(torch.cuda, "is_available", lambda available=available: available)
            assert {case.device for case in cases(Plain())} == devices
        assert "device-quadratic-float32-cuda" in [str(case) for case in cases(Plain())]

    @pytest.mark.parametrize("given", [GradientDescent, 0.1, None])
    def test_only_a_method_is_taken(self, given):
        with pytest.raises(TypeError, match=r"^method must be a Method, such as Gradient.*, not "):
            cases(given)

    def test_an_unknown_problem_is_refused(self):
        with pytest.raises(ValueError, match=r"^there is no problem 'cubic': the problems are qua"):
            check_method(Plain(), problems=["cubic"])
