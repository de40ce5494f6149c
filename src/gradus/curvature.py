"""How f bends at w: products with matrices of second derivatives, their eigenvalues and trace."""

from gradus.risk.curvature import (
    LIMIT,
    Curvature,
    Eigenvalues,
    Trace,
    curvature_at,
    eigenvalues,
    hessian,
    hvp,
    trace,
)

__all__ = [
    "LIMIT",
    "Curvature",
    "Eigenvalues",
    "Trace",
    "curvature_at",
    "eigenvalues",
    "hessian",
    "hvp",
    "trace",
]


def __dir__() -> list[str]:
    return __all__
