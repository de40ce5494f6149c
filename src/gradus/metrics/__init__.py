"""How good a model is, beside what knowing nothing reaches."""

from gradus.metrics.constant import ConstantPrediction as ConstantPrediction
from gradus.metrics.constant import best_constant as best_constant
