"""Line searches: what they end at meets their conditions, and they always end."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradus.methods.line_search import Trial, backtracking, strong_wolfe

# The conditions are compared as the search computes them: a few roundings of their own terms.
ROUNDED = 1e-12


class Counted:
    """A line that counts its evaluations."""

    def __init__(self, value, slope):
        self.value, self.slope, self.count = value, slope, 0

    def __call__(self, alpha):
        self.count += 1
        return Trial(alpha, self.value(alpha), self.slope(alpha))

    @property
    def start(self):
        return Trial(0.0, self.value(0.0), self.slope(0.0))


def meets_armijo(end, start, c1):
    slack = ROUNDED * (abs(start.value) + abs(end.value))
    return end.value <= start.value + c1 * end.alpha * start.slope + slack


def meets_wolfe(end, start, c2):
    return abs(end.slope) <= c2 * abs(start.slope) * (1 + ROUNDED)


def yanai(beta1, beta2):
    """Convex, with a minimum that is flat or sharp at its ends."""
    g1 = math.sqrt(1 + beta1**2) - beta1
    g2 = math.sqrt(1 + beta2**2) - beta2

    def value(a):
        return g1 * math.sqrt((1 - a) ** 2 + beta2**2) + g2 * math.sqrt(a**2 + beta1**2)

    def slope(a):
        right = g2 * a / math.sqrt(a**2 + beta1**2)
        return -g1 * (1 - a) / math.sqrt((1 - a) ** 2 + beta2**2) + right

    return value, slope


# The functions with which Moré and Thuente (1994) tried line searches: (5.1), (5.2), (5.4).
LINES = {
    "rational": (lambda a: -a / (a**2 + 2), lambda a: (a**2 - 2) / (a**2 + 2) ** 2),
    "quintic": (
        lambda a: (a + 0.004) ** 5 - 2 * (a + 0.004) ** 4,
        lambda a: 5 * (a + 0.004) ** 4 - 8 * (a + 0.004) ** 3,
    ),
    "flat": yanai(0.001, 0.001),
    "flat-left": yanai(0.01, 0.001),
    "flat-right": yanai(0.001, 0.01),
}
every_line = pytest.mark.parametrize("line", LINES.values(), ids=LINES)
every_first = pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 10.0, 1e3])


@every_line
@every_first
@pytest.mark.parametrize("c2", [0.9, 0.1])
def test_strong_wolfe_ends_where_both_conditions_hold(line, first, c2):
    phi = Counted(*line)
    end = strong_wolfe(phi, phi.start, first, c1=1e-3, c2=c2)
    assert end.alpha > 0
    assert meets_armijo(end, phi.start, 1e-3)
    assert meets_wolfe(end, phi.start, c2)
    assert phi.count <= 25


@every_line
@every_first
def test_backtracking_ends_at_the_first_of_its_steps_that_decreases_enough(line, first):
    phi = Counted(*line)
    end = backtracking(phi, phi.start, first, c1=1e-3)
    assert meets_armijo(end, phi.start, 1e-3)
    assert end.alpha == first * 0.5 ** (phi.count - 1)
    longer = Trial(2 * end.alpha, phi.value(2 * end.alpha))
    assert end.alpha == first or not meets_armijo(longer, phi.start, 1e-3)


waves = st.lists(
    st.tuples(st.floats(-2, 2), st.floats(0.1, 5), st.floats(0, 6.3)), min_size=1, max_size=4
)


@given(waves=waves, bowl=st.floats(0.01, 10), first=st.floats(1e-4, 1e4))
def test_on_any_smooth_line_that_is_bounded_below_both_conditions_hold(waves, bowl, first):
    def value(a):
        a = sign * a
        return bowl * a**2 + sum(h * math.cos(f * a + at) for h, f, at in waves)

    def slope(a):
        a = sign * a
        return sign * (2 * bowl * a - sum(h * f * math.sin(f * a + at) for h, f, at in waves))

    sign = 1.0
    sign = -1.0 if slope(0.0) > 0 else 1.0
    phi = Counted(value, slope)
    for search in (strong_wolfe, backtracking):
        end = search(phi, phi.start, first)
        assert end.value <= phi.start.value
        assert meets_armijo(end, phi.start, 1e-4)
        # A slope so small that the decrease it promises is below rounding may not be found.
        if phi.start.slope < -1e-3:
            assert end.alpha > 0
            assert search is backtracking or meets_wolfe(end, phi.start, 0.9)


@pytest.mark.parametrize("search", [backtracking, strong_wolfe])
@pytest.mark.parametrize("beyond", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("first", [0.5, 1.0, 7.0, 1e6])
def test_a_step_to_where_f_is_not_finite_is_shortened(search, beyond, first):
    """-log(1 - a) - 3 a, which has its minimum at 2/3 and a wall at 1."""
    phi = Counted(
        lambda a: -math.log(1 - a) - 3 * a if a < 1 else beyond,
        lambda a: 1 / (1 - a) - 3 if a < 1 else math.nan,
    )
    end = search(phi, phi.start, first)
    assert 0 < end.alpha < 1
    assert meets_armijo(end, phi.start, 1e-4)
    assert search is backtracking or meets_wolfe(end, phi.start, 0.9)


@pytest.mark.parametrize("search", [backtracking, strong_wolfe])
@pytest.mark.parametrize(
    ("value", "slope"),
    [
        (lambda a: a, lambda a: 1.0),
        (lambda a: 3.0, lambda a: 0.0),
        (lambda a: math.nan, lambda a: math.nan),
    ],
    ids=["up", "flat", "nan"],
)
def test_without_a_direction_of_descent_nothing_is_tried(search, value, slope):
    phi = Counted(value, slope)
    start = phi.start
    assert search(phi, start, 1.0) is start
    assert phi.count == 0


@pytest.mark.parametrize("search", [backtracking, strong_wolfe])
def test_a_step_of_length_0_is_not_tried(search):
    phi = Counted(lambda a: -a, lambda a: -1.0)
    start = phi.start
    assert search(phi, start, 0.0) is start
    assert phi.count == 0


@pytest.mark.parametrize(("search", "most"), [(backtracking, 40), (strong_wolfe, 25)])
@pytest.mark.parametrize("beyond", [1.0, math.nan, math.inf])
def test_where_no_point_is_lower_the_search_ends_at_the_start(search, most, beyond):
    phi = Counted(lambda a: beyond if a else 0.0, lambda a: -1.0)
    start = phi.start
    assert search(phi, start, 1.0) is start
    assert phi.count == most


def test_a_line_without_a_bottom_ends_at_the_lowest_of_the_trials():
    phi = Counted(lambda a: -a, lambda a: -1.0)
    end = strong_wolfe(phi, phi.start, 1.0, evaluations=7)
    assert phi.count == 7
    assert end.alpha == 2.0**6
    assert end.value == -end.alpha


@pytest.mark.parametrize("search", [backtracking, strong_wolfe])
def test_a_rise_within_the_rounding_of_f_is_taken_for_none(search):
    """f is known to 1e-16 here, and promises a decrease of 1e-20."""
    phi = Counted(lambda a: 1 + 2e-16 * (a > 0), lambda a: -1e-20 * (1 - a))
    start = phi.start
    assert search(phi, start, 1.0).alpha == 0.0
    assert search(phi, start, 1.0, rounding=1e-15).alpha == 1.0
