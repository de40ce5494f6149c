"""Second derivatives of f at w: the matrices, their products, eigenvalues and trace."""

from gradus.risk.curvature.functions import Matrix, curvature_at, hessian, hvp, require_matrix
from gradus.risk.curvature.largest import LARGEST, sharpness
from gradus.risk.curvature.matrix import LIMIT, Curvature, require_memory
from gradus.risk.curvature.spectrum import Eigenvalues, Trace, eigenvalues, trace

__all__ = [
    "LARGEST",
    "LIMIT",
    "Curvature",
    "Eigenvalues",
    "Matrix",
    "Trace",
    "curvature_at",
    "eigenvalues",
    "hessian",
    "hvp",
    "require_matrix",
    "require_memory",
    "sharpness",
    "trace",
]
