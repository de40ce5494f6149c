from .dense import GradusClassifier as GradusClassifier
from .dense import GradusRegressor as GradusRegressor
from .linear import GradusLinearClassifier as GradusLinearClassifier
from .linear import GradusLinearRegressor as GradusLinearRegressor
from .search import SweepCV as SweepCV
