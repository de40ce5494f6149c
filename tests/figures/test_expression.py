"""Functions written as text: what they mean, and what is refused."""

import math

import pytest
import torch

from gradus import InputError
from gradus.figures.subject.expression import function_of

MEANT = {
    "x**2 + 10*y**2": lambda x, y: x**2 + 10 * y**2,
    "x^2 - y": lambda x, y: x**2 - y,
    "-(x - 1)**2 / (1 + y**2)": lambda x, y: -((x - 1) ** 2) / (1 + y**2),
    "exp(-x) * sin(pi * y) + log(2)": lambda x, y: (
        math.exp(-x) * math.sin(math.pi * y) + math.log(2)
    ),
    "sqrt(abs(x)) + tanh(y) + e": lambda x, y: math.sqrt(abs(x)) + math.tanh(y) + math.e,
    "x**-2 + y**0.5": lambda x, y: x**-2 + y**0.5,
    "2**x + x**y": lambda x, y: 2**x + x**y,
    "3": lambda x, y: 3.0,
}


@pytest.mark.parametrize("text", MEANT)
def test_values(text):
    f = function_of(text)
    for x, y in ((1.5, 0.25), (0.3, 2.0)):
        w = torch.tensor([x, y], dtype=torch.float64)
        assert float(f(w)) == pytest.approx(MEANT[text](x, y), rel=1e-12)


def test_it_is_differentiated():
    w = torch.tensor([-2.0, 3.0], dtype=torch.float64)
    assert torch.func.grad(function_of("x**2 + 10*y**2"))(w).tolist() == [-4.0, 60.0]
    assert torch.func.grad(function_of("3"))(w).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "x.__class__",
        "(lambda: 1)()",
        "[x for x in (1,)]",
        "x if y else 1",
        "open('f')",
        "z + 1",
        "sin(x, y)",
        "sin(a=x)",
        "'x'",
        "True",
        "1j * x",
        "x; y",
        "x = 1",
        "",
        "x +",
        "(" * 400 + "x" + ")" * 400,
        "-" * 5000 + "x",
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(InputError, match="--function"):
        function_of(text)
