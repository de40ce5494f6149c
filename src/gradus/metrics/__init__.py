"""How good a model is, how far that may be off, and what knowing nothing reaches."""

from gradus.metrics.calibration import Reliability as Reliability
from gradus.metrics.calibration import calibration_error as calibration_error
from gradus.metrics.calibration import reliability as reliability
from gradus.metrics.classes import figures_of_classes as figures_of_classes
from gradus.metrics.constant import ConstantPrediction as ConstantPrediction
from gradus.metrics.constant import best_constant as best_constant
from gradus.metrics.decisions import confusion_matrix as confusion_matrix
from gradus.metrics.figure import Figure as Figure
from gradus.metrics.numbers import figures_of_numbers as figures_of_numbers
from gradus.metrics.uncertainty import standard_error as standard_error
from gradus.metrics.uncertainty import wilson_interval as wilson_interval
