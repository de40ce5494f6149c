from .dense import GradusClassifier as GradusClassifier
from .dense import GradusRegressor as GradusRegressor
