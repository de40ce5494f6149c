"""What holds for every method, as a table of checks that a method passes or fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from gradus.methods.method import FirstOrder, Method
from gradus.testing import checks
from gradus.testing.checks import largest_lr_of, name_of
from gradus.testing.paths import has_numbers
from gradus.testing.problems import PROBLEMS, Problem, problem

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

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
        return f"{self.check.name}-{self.problem}-{name_of(self.dtype)}{on_device}"

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
                f"in {name_of(self.dtype)}{on_device}: {said}"
            ) from error


CHECKS: tuple[Check, ...] = (
    Check(
        "dtype",
        "points and states keep the dtype of w",
        checks.keeps_dtype,
        dtypes=DTYPES,
        problems=("quadratic", "logistic", "network"),
    ),
    Check(
        "zeros",
        "entries without a gradient stay finite",
        checks.stays_finite_at_zero,
        dtypes=DTYPES,
        problems=("quadratic",),
    ),
    Check(
        "device",
        "points and states stay on the device of w",
        checks.keeps_device,
        dtypes=(torch.float32,),
        problems=("quadratic", "network"),
        devices=True,
    ),
    Check(
        "purity", "w, the state, and all that f gave are left as they were", checks.is_pure, VARIED
    ),
    Check(
        "determinism",
        "two runs are the same to the bit, and finite",
        checks.is_deterministic,
        TWO,
    ),
    Check(
        "rewinding", "a run goes on from any point and state, to the bit", checks.rewinds, VARIED
    ),
    Check("rows", "[K, d] is K separate runs", checks.moves_rows_separately, TWO),
    Check("lists", "a list of tensors moves as the flat vector", checks.moves_lists, VARIED),
    Check(
        "numbers", "0-d tensors give what the numbers give", checks.takes_numbers_as_tensors, TWO
    ),
    Check("columns", "hyper-parameters [K, 1] are those of K runs", checks.takes_columns, TWO),
    Check(
        "batches",
        "a step on a batch is that on a risk of its examples",
        checks.moves_by_the_batch,
        RISKS,
    ),
    Check(
        "descent",
        "f comes to stay near its minimum",
        checks.descends,
        ("quadratic", "badly-conditioned", "logistic"),
    ),
    Check("monotonicity", "f never rises", checks.never_rises),
)
"""Every check, in the order in which they are run."""


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
    if not isinstance(method, FirstOrder):  # what takes more than a gradient sees the curvature too
        left_out.add("zeros")
    if not has_numbers(method):
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


def _scaled(method: Method, case: Case) -> Problem:
    """The problem of a case, with f scaled so that the largest learning rate is 1 / L."""
    found, largest = problem(case.problem, case.dtype, case.device), largest_lr_of(method)
    if largest == 0:
        return found
    # The square of a gradient is to be a number still.
    curvature = min(1 / largest, torch.finfo(case.dtype).max ** 0.5 / 10)
    return found.scaled(found.largest_lr / 2 * curvature)
