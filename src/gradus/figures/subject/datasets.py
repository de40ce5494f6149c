"""The data sets on which the subject is shown, tables of scikit-learn, and a risk over them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradus.risk.empirical import EmpiricalRisk
from gradus.risk.losses import MSELoss
from gradus.risk.penalties import Penalty


def iris_petals() -> tuple[Tensor, Tensor]:
    """Petal width of 150 irises by the lengths of their sepals and petals.

    Returns:
        x ``[150, 2]`` and y ``[150, 1]``, standardised: mean 0, standard deviation 1.

    Source: Fisher (1936), "The use of multiple measurements in taxonomic problems".
    """
    from sklearn.datasets import load_iris

    table = torch.from_numpy(load_iris().data)
    return _standardised(table[:, [0, 2]]), _standardised(table[:, 3:])


def diabetes() -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """The progression of diabetes in 442 patients by ten measurements.

    Returns:
        x ``[442, 10]``, y ``[442, 1]``, standardised, and the names of the ten.

    Source: Efron, Hastie, Johnstone, Tibshirani (2004), "Least angle regression".
    """
    from sklearn.datasets import load_diabetes

    table = load_diabetes(scaled=False)
    x, y = torch.from_numpy(table.data), torch.from_numpy(table.target)[:, None]
    return _standardised(x), _standardised(y), tuple(table.feature_names)


def linear_regression(x: Tensor, y: Tensor, penalty: Penalty | None = None) -> EmpiricalRisk:
    r"""Linear regression without intercept: w ``[features]``, the weights of the columns of x.

    $$f(w) = \frac{1}{N} \sum_i (w^T x_i - y_i)^2 + \lambda\,\Omega(w)$$
    """
    model = nn.Linear(x.shape[1], 1, bias=False).double()
    return EmpiricalRisk(model, MSELoss(), (x, y), penalty)


def _standardised(table: Tensor) -> Tensor:
    return (table - table.mean(0)) / table.std(0, correction=0)
