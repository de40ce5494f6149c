"""What is added to a risk to keep w small."""

from gradus.risk.penalties import L1, L2, ElasticNet, Penalty, SquaredL2

__all__ = ["L1", "L2", "ElasticNet", "Penalty", "SquaredL2"]


def __dir__() -> list[str]:
    return __all__
