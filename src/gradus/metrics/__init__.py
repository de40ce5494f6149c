"""How good a model is, how far that may be off, and what knowing nothing reaches."""

from gradus.metrics.constant import ConstantPrediction as ConstantPrediction
from gradus.metrics.constant import best_constant as best_constant
from gradus.metrics.uncertainty import standard_error as standard_error
from gradus.metrics.uncertainty import wilson_interval as wilson_interval
