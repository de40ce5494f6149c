"""The penalties against closed forms, automatic differentiation and numerical minimisation."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from gradus.risk.penalties import L1, L2, ElasticNet, Penalty, SquaredL2
from gradus.risk.tensors import Tensors

FINAL = (L1, L2, SquaredL2, ElasticNet)
PENALTIES = (L1(0.7), L2(1.3), SquaredL2(0.4), ElasticNet(0.9, 0.3), ElasticNet(2.0), L2(0.0))
TOLERANCE = {"rtol": 1e-9, "atol": 1e-12}

numbers = st.floats(-100, 100).filter(lambda number: number == 0 or abs(number) > 1e-6)
vectors = st.lists(numbers, min_size=1, max_size=6).map(
    lambda entries: torch.tensor(entries, dtype=torch.float64)
)
steps = st.floats(0.001, 10)
penalties = st.sampled_from(PENALTIES)
quick = settings(max_examples=60, deadline=None)


def close(got, wanted):
    torch.testing.assert_close(got, wanted, **TOLERANCE)


def number(value):
    return torch.tensor(value, dtype=torch.float64)


@given(vectors, st.floats(0, 10), st.floats(0, 1))
@quick
def test_values_are_their_definitions(w, strength, ratio):
    absolute, squared = math.fsum(abs(w).tolist()), math.fsum((w**2).tolist())
    close(L1(strength).value(w), number(strength * absolute))
    close(L2(strength).value(w), number(strength * math.sqrt(squared)))
    close(SquaredL2(strength).value(w), number(strength / 2 * squared))
    mixture = ratio * absolute + (1 - ratio) / 2 * squared
    close(ElasticNet(strength, ratio).value(w), number(strength * mixture))


@given(vectors)
@quick
def test_the_elastic_net_contains_both_its_ends(w):
    for end, ratio in ((L1(1.7), 1.0), (SquaredL2(1.7), 0.0)):
        mixed = ElasticNet(1.7, ratio)
        close(mixed.value(w), end.value(w))
        close(mixed.gradient(w), end.gradient(w))
        close(mixed.prox(w, 0.3), end.prox(w, 0.3))


@given(penalties, vectors)
@quick
def test_gradients_are_those_of_automatic_differentiation(penalty, w):
    w = w.requires_grad_()
    (expected,) = torch.autograd.grad(penalty.value(w), w)
    close(penalty.gradient(w.detach()), expected)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("shape", [(3,), (2, 3)])
def test_at_zero_the_gradient_is_zero_by_both_ways(penalty, shape):
    w = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    (automatic,) = torch.autograd.grad(penalty.value(w).sum(), w)
    assert (automatic == 0).all()
    assert (penalty.gradient(w) == 0).all()
    assert (penalty.prox(w, 0.5) == 0).all()


@given(penalties, vectors, st.data())
@quick
def test_the_gradient_is_a_subgradient(penalty, w, data):
    u = torch.tensor(data.draw(st.lists(numbers, min_size=len(w), max_size=len(w))))
    u = u.to(torch.float64)
    below = penalty.value(w) + penalty.gradient(w) @ (u - w)
    assert penalty.value(u) >= below - 1e-9 * (1 + abs(below))


@given(penalties, vectors, steps)
@quick
def test_the_proximal_step_satisfies_its_optimality_condition(penalty, w, step):
    """(w - prox) / step must be a subgradient of the penalty at prox."""
    u = penalty.prox(w, step)
    pull = (w - u) / step
    if isinstance(penalty, L2):
        if (u == 0).all():
            assert pull.norm() <= penalty.strength * (1 + 1e-9)
        else:
            torch.testing.assert_close(pull, penalty.gradient(u), rtol=1e-6, atol=1e-9 / step)
        return
    kink = penalty.strength * getattr(penalty, "l1_ratio", float(isinstance(penalty, L1)))
    at_zero = u == 0
    assert (pull[at_zero].abs() <= kink * (1 + 1e-9)).all()
    expected = penalty.gradient(u)[~at_zero]
    torch.testing.assert_close(pull[~at_zero], expected, rtol=1e-6, atol=1e-9 / step)


@given(
    st.sampled_from([penalty for penalty in PENALTIES if not isinstance(penalty, L2)]),
    numbers,
    steps,
)
@settings(max_examples=30, deadline=None)
def test_proximal_steps_of_one_entry_are_what_a_minimiser_finds(penalty, entry, step):
    def objective(u):
        return (u - entry) ** 2 / (2 * step) + float(penalty.value(number([u])))

    found = minimize_scalar(objective, bounds=(-abs(entry) - 1, abs(entry) + 1), method="bounded")
    u = float(penalty.prox(number([entry]), step))
    assert objective(u) <= found.fun + 1e-9 * (1 + abs(found.fun))
    assert abs(u - found.x) <= 1e-3 * (1 + abs(entry))


@given(st.floats(0, 5), vectors, steps)
@quick
def test_the_proximal_step_of_l2_shortens_w_along_itself(strength, w, step):
    """The minimiser lies on the ray of w, where the objective is that of one number."""
    u = L2(strength).prox(w, step)
    length = max(float(w.norm()) - step * strength, 0.0)
    torch.testing.assert_close(u.norm(), number(length), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(u * w.norm(), w * u.norm(), rtol=1e-9, atol=1e-9)


@given(penalties, vectors, steps)
@quick
def test_no_point_nearby_is_better_than_the_proximal_step(penalty, w, step):
    def objective(u):
        return (u - w).square().sum() / (2 * step) + penalty.value(u)

    best = penalty.prox(w, step)
    least = objective(best)
    for sign in (-1, 1):
        for direction in torch.eye(len(w), dtype=torch.float64):
            nearby = objective(best + sign * 1e-3 * direction)
            assert nearby > least - 1e-9 * (1 + abs(least))


@pytest.mark.parametrize("penalty", PENALTIES)
def test_each_row_is_a_vector_of_its_own(penalty):
    w = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    w[1] = 0
    close(penalty.value(w), torch.stack([penalty.value(row) for row in w]))
    close(penalty.gradient(w), torch.stack([penalty.gradient(row) for row in w]))
    close(penalty.prox(w, 0.5), torch.stack([penalty.prox(row, 0.5) for row in w]))


@pytest.mark.parametrize("kind", FINAL)
def test_each_row_may_have_a_strength_and_a_step_of_its_own(kind):
    w = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    strengths = torch.tensor([[0.0], [0.5], [2.0]], dtype=torch.float64)
    steps = torch.tensor([[0.1], [1.0], [0.3]], dtype=torch.float64)
    penalty = kind(strengths)
    singles = [kind(float(strength)) for strength in strengths]
    rows = list(zip(singles, w, steps.flatten().tolist(), strict=True))
    close(penalty.value(w), torch.stack([single.value(row) for single, row, _ in rows]))
    close(penalty.gradient(w), torch.stack([single.gradient(row) for single, row, _ in rows]))
    close(
        penalty.prox(w, steps), torch.stack([single.prox(row, step) for single, row, step in rows])
    )


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("scale", [0.0, 1.0, 5.0])
def test_a_list_of_tensors_is_one_vector(penalty, scale):
    matrix = scale * torch.arange(-3, 3, dtype=torch.float64).view(2, 3)
    bias = scale * torch.tensor([0.5, -2.0], dtype=torch.float64)
    w = Tensors([matrix, bias])
    close(penalty.value(w), penalty.value(w.flat()))
    close(penalty.gradient(w).flat(), penalty.gradient(w.flat()))
    close(penalty.prox(w, 0.5).flat(), penalty.prox(w.flat(), 0.5))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_the_dtype_of_w_is_kept(penalty, dtype):
    w = torch.tensor([3.0, -4.0, 0.0], dtype=dtype)
    for result in (penalty.value(w), penalty.gradient(w), penalty.prox(w, 0.1)):
        assert result.dtype == dtype


@pytest.mark.parametrize("kind", FINAL)
@pytest.mark.parametrize("strength", [-1e-9, math.inf, math.nan, torch.tensor([[1.0], [-1.0]])])
def test_strengths_that_are_negative_or_not_finite_are_refused(kind, strength):
    with pytest.raises(ValueError, match="strength=") as refusal:
        kind(strength)
    if not isinstance(strength, torch.Tensor):
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("ratio", [-0.01, 1.01, math.nan])
def test_ratios_outside_their_range_are_refused(ratio):
    with pytest.raises(ValueError, match=r"l1_ratio=.*\[0, 1\]"):
        ElasticNet(1.0, ratio)


def test_penalties_are_values_and_abstract_or_final():
    assert L1(0.5) == L1(0.5) != L1(0.25)
    assert ElasticNet(1.0).l1_ratio == 0.5
    with pytest.raises(dataclasses.FrozenInstanceError):
        L1(0.5).strength = 1.0
    with pytest.raises(TypeError, match="abstract"):
        Penalty()
    for kind in FINAL:
        assert kind.__final__
