"""How torch rounds, held against exact fractions."""

import math
from fractions import Fraction

import pytest
import torch

from gradus import methods
from gradus.optim import inplace, rounding

NUMBERS = torch.randn(3, 67, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture(autouse=True)
def _asked_anew():
    yield
    rounding.rounds_once.cache_clear()
    rounding.rounds_roots.cache_clear()


def test_a_sum_with_a_product_is_rounded_as_often_as_torch_rounds_it():
    w, a, b = NUMBERS.tolist()
    got = torch.addcmul(*NUMBERS, value=1.0).tolist()
    once = [float(Fraction(x) + Fraction(y) * Fraction(z)) for x, y, z in zip(w, a, b, strict=True)]
    twice = [x + y * z for x, y, z in zip(w, a, b, strict=True)]
    assert once != twice
    assert got == {True: once, False: twice}[rounding.rounds_once()]


def test_roots_are_rounded_correctly_or_not():
    squares = NUMBERS.abs().flatten()
    correct = squares.sqrt().tolist() == list(map(math.sqrt, squares.tolist()))
    # These few may be right where others are not; they are not wrong where all are right.
    assert correct or not rounding.rounds_roots()


def test_where_some_kernels_round_once_and_others_twice_the_equation_runs(monkeypatch):
    left = 0.0 if rounding.rounds_once() else 1.0
    rounding.rounds_once.cache_clear()
    monkeypatch.setattr(torch, "lerp", lambda start, end, weight: torch.full_like(start, left))
    assert rounding.rounds_once() is None
    assert inplace.in_place_update_of(methods.SGD(0.1)) is None
