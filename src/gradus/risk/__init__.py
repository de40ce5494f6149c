"""What is minimised: losses, penalties and the empirical risk they make."""

import lazy_loader

SUBMODULES = [
    "chunks",
    "curvature",
    "dense",
    "empirical",
    "examples",
    "finite_difference",
    "function",
    "gradient_check",
    "losses",
    "penalties",
    "precision",
    "stencil",
    "substitution",
    "tensors",
]

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules=SUBMODULES)
