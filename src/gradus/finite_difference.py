"""Derivatives by differences of values, which need nothing of f but its values."""

from gradus.risk.finite_difference import derivative, gradient, hessian, second_derivative

__all__ = ["derivative", "gradient", "hessian", "second_derivative"]


def __dir__() -> list[str]:
    return __all__
