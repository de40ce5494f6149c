"""How close the elementary functions of the C++ kernels come to the true values, in every variant.

The truth is computed in a wider type: float64 for float32, and for float64 the long double of the
platform, where it is wider, with erf from its series and continued fraction.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gradus import kernels
from gradus.kernels import core

Array = NDArray[Any]

pytestmark = pytest.mark.skipif(core() is None, reason=str(kernels.absence()))

WIDE = np.longdouble
TYPES = [
    np.float32,
    pytest.param(
        np.float64,
        marks=pytest.mark.skipif(
            np.finfo(WIDE).nmant < 63, reason="no type here is wider than float64"
        ),
    ),
]
VARIANTS = kernels.runnable()
PI = WIDE("3.14159265358979323846264338327950288")


def complement(x: Array) -> Array:
    """1 - erf(x), to the accuracy of `WIDE` relative to 1, and for x > 3 to itself."""
    near = np.minimum(np.abs(x), WIDE(3))
    term = near.copy()
    series = near.copy()
    for n in range(1, 90):
        term = term * (2 * near * near) / (2 * n + 1)
        series = series + term
    series = 1 - 2 / np.sqrt(PI) * np.exp(-near * near) * series
    far = np.maximum(np.abs(x), WIDE(3))
    tail = far.copy()
    for n in range(120, 0, -1):
        tail = far + WIDE(n) / 2 / tail
    fraction = np.exp(-far * far) / np.sqrt(PI) / tail
    positive = np.where(np.abs(x) < 3, series, fraction)
    return np.where(x < 0, 2 - positive, positive)


def error_function(x: Array) -> Array:
    """Its series where 1 - (1 - erf(x)) would lose digits."""
    small = np.clip(x, -1, 1)
    term, total = small, small
    for n in range(1, 40):
        term = term * (-small * small) / n
        total = total + term / (2 * n + 1)
    return np.where(np.abs(x) < 1, 2 / np.sqrt(PI) * total, 1 - complement(x))


def gelu(x: Array) -> Array:
    return x * complement(-x / np.sqrt(WIDE(2))) / 2


def gelu_slope(x: Array) -> Array:
    share = complement(-x / np.sqrt(WIDE(2))) / 2
    return share + x * np.exp(-x * x / 2) / np.sqrt(2 * PI)


def bent(x: Array) -> Array:
    return 2 * np.sqrt(2 / PI) * (x + WIDE("0.044715") * x**3)


def gelu_tanh(x: Array) -> Array:
    return x / (1 + np.exp(-bent(x)))


def gelu_tanh_slope(x: Array) -> Array:
    share, other = 1 / (1 + np.exp(-bent(x))), 1 / (1 + np.exp(bent(x)))
    return share + x * share * other * 2 * np.sqrt(2 / PI) * (1 + 3 * WIDE("0.044715") * x * x)


def errors(found: Array, true: Array, least: float = 0.0) -> Array:
    """In units in the last place of the true value, or of `least` where that is larger."""
    limits = np.finfo(found.dtype)
    scale = np.maximum(np.maximum(np.abs(true), least), WIDE(limits.smallest_normal))
    _, exponent = np.frexp(scale)
    return np.abs(found - true) / np.ldexp(WIDE(1), exponent - limits.nmant - 1)


def arguments(type_: Any, low: float, high: float) -> Array:
    """Evenly from low to high, close to 0, and around log(2) / 4 times whole numbers."""
    random = np.random.default_rng(0)
    quarters = random.integers(int(low * 6), int(high * 6) + 1, 20000) * np.log(2) / 4
    around = quarters * (1 + random.uniform(-4, 4, 20000) * np.finfo(type_).eps)
    tiny = np.exp2(random.uniform(-40, 2, 20000)) * random.choice([-1, 1], 20000)
    every = np.concatenate([random.uniform(low, high, 40000), around, tiny])
    return every[(every >= low) & (every <= high)].astype(type_)


@functools.cache
def asked(
    truth: Callable[[Array], Array], ends: tuple[float, float], type_: Any
) -> tuple[Array, Array]:
    """Arguments and true values, the same for every variant."""
    x = arguments(type_, *ends)
    return x, truth(x.astype(WIDE))


def mapped(name: str, x: Array, variant: str) -> Array:
    module = core()
    assert module is not None
    found = module.map(name, x, variant)
    assert isinstance(found, np.ndarray)
    assert found.dtype == x.dtype
    return found


RELATIVE: list[tuple[str, Callable[[Array], Array], tuple[float, float], float]] = [
    ("exponential", np.exp, (-86.9, 88.7), 1.5),
    ("hyperbolic_tangent", np.tanh, (-25, 25), 3),
    ("logistic", lambda x: 1 / (1 + np.exp(-x)), (-87, 87), 2.8),
    ("error_function", error_function, (-8, 8), 3.1),
    ("exponential_minus_one", np.expm1, (-86.9, 88.7), 2.6),
    ("logarithm_plus_one", np.log1p, (0, 1), 1.5),
]
ABSOLUTE: list[tuple[str, Callable[[Array], Array], float]] = [
    ("gelu", gelu, 1.2),
    ("gelu_slope", gelu_slope, 1.6),
    ("gelu_tanh", gelu_tanh, 2.2),
    ("gelu_tanh_slope", gelu_tanh_slope, 1.2),
]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize(("name", "truth", "ends", "most"), RELATIVE)
def test_errors_are_a_few_units_in_the_last_place(
    name: str,
    truth: Callable[[Array], Array],
    ends: tuple[float, float],
    most: float,
    type_: Any,
    variant: str,
) -> None:
    x, true = asked(truth, ends, type_)
    assert errors(mapped(name, x, variant), true).max() < most


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize(("name", "truth", "most"), ABSOLUTE)
def test_errors_of_gelu_are_a_few_units_in_the_last_place_of_one(
    name: str, truth: Callable[[Array], Array], most: float, type_: Any, variant: str
) -> None:
    x, true = asked(truth, (-45, 45), type_)
    assert errors(mapped(name, x, variant), true, 1.0).max() < most


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("type_", TYPES)
def test_logarithm_over_all_normal_numbers(type_: Any, variant: str) -> None:
    random = np.random.default_rng(0)
    limits = np.finfo(type_)
    halves = np.exp2(random.integers(-30, 30, 20000) + 0.5)
    x = np.concatenate(
        [
            np.exp2(random.uniform(limits.minexp, limits.maxexp - 0.01, 40000)),
            random.uniform(0.5, 2, 40000),
            halves * (1 + random.uniform(-4, 4, 20000) * limits.eps),
            1 + np.exp2(random.uniform(-50, -1, 20000)) * random.choice([-1, 1], 20000),
            [limits.smallest_normal, limits.max, 1],
        ]
    ).astype(type_)
    assert errors(mapped("logarithm", x, variant), np.log(x.astype(WIDE))).max() < 1


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("type_", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("name", "at_minus_infinity", "at_zero", "at_infinity"),
    [
        ("exponential", 0, 1, np.inf),
        ("logarithm", np.nan, -np.inf, np.inf),
        ("hyperbolic_tangent", -1, 0, 1),
        ("logistic", 0, 0.5, 1),
        ("error_function", -1, 0, 1),
        ("gelu", 0, 0, np.inf),
        ("gelu_slope", 0, 0.5, 1),
        ("gelu_tanh", 0, 0, np.inf),
        ("gelu_tanh_slope", 0, 0.5, 1),
        ("exponential_minus_one", -1, 0, np.inf),
    ],
)
def test_values_at_the_ends(
    name: str,
    at_minus_infinity: float,
    at_zero: float,
    at_infinity: float,
    type_: Any,
    variant: str,
) -> None:
    x = np.array([-np.inf, -0.0, 0.0, np.inf, np.nan], type_)
    expected = np.array([at_minus_infinity, at_zero, at_zero, at_infinity, np.nan], type_)
    np.testing.assert_array_equal(mapped(name, x, variant), expected)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("type_", [np.float32, np.float64])
def test_values_beyond_the_range_of_the_type(type_: Any, variant: str) -> None:
    most = np.finfo(type_).max
    x = np.array([-most, -1e4, 1e4, most], type_)
    for name, expected in [
        ("exponential", [0, 0, np.inf, np.inf]),
        ("logistic", [0, 0, 1, 1]),
        ("hyperbolic_tangent", [-1, -1, 1, 1]),
        ("error_function", [-1, -1, 1, 1]),
        ("gelu", [0, 0, 1e4, most]),
        ("gelu_slope", [0, 0, 1, 1]),
        ("gelu_tanh", [0, 0, 1e4, most]),
        ("gelu_tanh_slope", [0, 0, 1, 1]),
    ]:
        np.testing.assert_array_equal(mapped(name, x, variant), np.array(expected, type_), name)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("type_", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["hyperbolic_tangent", "error_function"])
def test_odd_functions_are_odd_to_the_bit(name: str, type_: Any, variant: str) -> None:
    x = np.append(arguments(type_, 0, 10), type_(0))
    found = mapped(name, -x, variant)
    np.testing.assert_array_equal(found, -mapped(name, x, variant))
    assert np.signbit(found).all()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("type_", [np.float32, np.float64])
def test_a_number_has_the_same_value_wherever_it_stands(type_: Any, variant: str) -> None:
    x = np.linspace(-3, 3, 67, dtype=type_)
    whole = mapped("gelu", x, variant)
    for count in range(len(x)):
        np.testing.assert_array_equal(mapped("gelu", x[:count], variant), whole[:count])
