"""Linear models as a classifier and a regressor, with L1, L2 and elastic net by proximal steps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import diags_array, hstack, issparse
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from gradus.errors import InputError, quoted
from gradus.sklearn.classification import Classifier
from gradus.sklearn.estimator import Array, Call
from gradus.sklearn.examples import Examples
from gradus.sklearn.regression import Regressor

if TYPE_CHECKING:
    from gradus.engine import words
    from gradus.risk.losses import Loss
    from gradus.runs.spec import RunSpec
    from gradus.sklearn.inputs import Inputs
    from gradus.sklearn.network import Network

OPTIONS = ("method", "lr", "schedule", "penalty", "strength", "l1_ratio", "batch_size", "epochs")
"""Parameters that are options of a run by the same names."""

WHOLE = 5_000
"""Rows up to which every step sees all of them, where the batch size is free: the noise of smaller
batches moves coefficients that a penalty has made zero."""

DENSE = 2**20
"""Numbers of a sparse matrix up to which it is made dense to find its greatest singular value."""

STEPS, FEWEST = 1_000, 5
"""So many steps are taken where the number of epochs is free, in no fewer epochs than that."""

BENDS = {"cross-entropy": 0.5, "modified-huber": 2.0, "mse": 2.0}
"""The second derivative of a loss in its outputs, at most; 1 of huber, and where there is none."""

MARGINS = {"hinge": "HingeLoss", "modified-huber": "ModifiedHuberLoss"}
"""Losses that tell each class from the rest by a score of its own, and their classes."""

LOSSES = ("cross-entropy", *MARGINS)

OTHER_NAMES = {"log_loss": "cross-entropy", "modified_huber": "modified-huber"}
"""What other libraries call them."""

PLAIN = ("gradient-descent", "nesterov", "polyak", "proximal-gradient", "sgd")
"""Methods that step along the gradient itself: their learning rate follows from how the risk bends,
and their proximal steps end where it is least."""


class Linear:
    """What is an option of a run in the linear estimators, and what is taken where it is free."""

    hidden: tuple[int, ...] = ()
    activation = "identity"
    models, pieces = 1, 0
    n_jobs = None

    if TYPE_CHECKING:
        method: str
        schedule: str | None
        penalty: str | None
        batch_size: int | str
        scaling: str | None
        networks_: list[Network]
        inputs_: Inputs

        loss: str

    def _given(self, examples: Examples, call: Call) -> dict[str, Any]:
        if self.scaling not in (None, "standard"):
            raise InputError(f"scaling {quoted(self.scaling)}: give standard or None")
        given = {name: getattr(self, name) for name in OPTIONS} | {"model": "linear"}
        if self.schedule is None and not call.partial:
            given["schedule"] = "cosine"
        if self.method in PLAIN:
            bend = BENDS.get(self._loss_name(), 1.0)
            given["lr"] = self._rate(examples, bend) if given["lr"] is None else given["lr"]
            given["proximal"] = True if self.penalty is not None else None
        return given

    def _rate(self, examples: Examples, bend: float) -> float:
        rows, size = examples.rows, self.batch_size
        return _rate(examples, bend, max(1, size) if isinstance(size, int) else _batch_size(rows))

    def _sized(self, rows: int, columns: int) -> dict[str, Any]:
        size = _batch_size(rows)
        return {"batch_size": size, "epochs": max(STEPS * size // rows, FEWEST)}

    @abstractmethod
    def _loss_name(self) -> str:
        """What is minimised.

        Raises:
            InputError: there is no such loss.
        """

    def _coefficients(self) -> tuple[Array, Array]:
        """``[m, d]`` and ``[m]``, on X as it was given."""
        check_is_fitted(self)
        (network,) = self.networks_
        (weight,), (bias,) = network.weights, network.biases
        encoders, spread = self.inputs_.encoders, self.inputs_.spread
        if spread is not None:
            weight = weight / spread
        elif encoders:
            weight = weight / np.array([encoder.scale for encoder in encoders])
            bias = bias - weight @ np.array([encoder.centre for encoder in encoders])
        return weight, bias


def _batch_size(rows: int) -> int:
    from gradus.runs.table_defaults import by_size

    size: int = by_size(rows, 0)["batch_size"]
    return rows if rows <= WHOLE else size


def _rate(examples: Examples, bend: float, size: int) -> float:
    r"""$1 / \mathcal{L}$, by how much the risk of mini-batches of B of N rows is expected to bend.

    $$\mathcal{L} = b \left((1 - s) \, \lambda_{\max}
      \Big(\frac1N \sum_i \frac{v_i}{\bar v} z_i z_i^T\Big)
      + s \max_i \frac{v_i}{\bar v} \|z_i\|^2\right),
      \quad s = \frac{N - B}{B (N - 1)}, \quad z_i = (x_i, 1)$$

    Source: R. Gower et al., SGD: general analysis and improved rates, ICML 2019, proposition 3.8.
    """
    n = examples.rows
    drawn = slice(None) if n <= WHOLE else np.random.default_rng(0).integers(0, n, WHOLE)
    x = examples.x[drawn].astype(np.float64)
    weights = np.ones(min(n, WHOLE)) if examples.weights is None else examples.weights[drawn]
    squares = np.asarray((x.multiply(x) if issparse(x) else x * x).sum(axis=1)).ravel() + 1
    largest = float((weights / weights.mean() * squares).max())
    together = _greatest(x, weights / weights.sum())
    share = max(n - size, 0) / (size * max(n - 1, 1))
    return 1 / (bend * ((1 - share) * together + share * largest))


def _greatest(x: Any, shares: Array) -> float:
    r"""The greatest eigenvalue of $\sum_i v_i z_i z_i^T$, for x ``[n, d]`` and shares v ``[n]``."""
    rows, columns = x.shape
    root = np.sqrt(shares)[:, None]
    if issparse(x):
        z = hstack([diags_array(root[:, 0]) @ x, root]).tocsr()
        if rows * columns > DENSE:
            from scipy.sparse.linalg import svds

            (value,) = svds(z, k=1, return_singular_vectors=False, random_state=0)
            return float(value) ** 2
        z = z.toarray()
    else:
        z = np.column_stack([x, np.ones(rows)]) * root
    return float(np.linalg.eigvalsh(z.T @ z if len(z) > z.shape[1] else z @ z.T)[-1])


def _gives_probabilities(classifier: Any) -> bool:
    if classifier.loss == "hinge":
        raise AttributeError(
            "loss hinge gives no probabilities; choose modified-huber or cross-entropy, or "
            "calibrate it by sklearn.calibration.CalibratedClassifierCV"
        )
    return True


class GradusLinearClassifier(Linear, Classifier):
    r"""Classes by softmax regression, or by a margin, with L1, L2 or elastic net.

    It minimises

    $$R(A, b) = \frac{\sum_i v_i c_{y_i} \, L(A x_i + b, y_i)}{\sum_i v_i c_{y_i}}
      + \lambda \Omega(A, b)$$

    with the loss L, the sample weights $v_i$ and the class weights $c_k$, by steps along the
    gradient and proximal steps of the penalty, which make coefficients exactly zero. The penalty is
    of A and b, on the scaled columns.

    Args:
        penalty: $\Omega$: l1, l2, squared-l2 or elastic-net; None for none.
        strength: $\lambda$.
        l1_ratio: share of L1 in elastic-net.
        loss: cross-entropy; hinge (a linear support vector machine, whose scores are no
            probabilities) or modified-huber, which tell each class from the rest on its own.
        method: how w moves, by the name it has in ``gradus methods``. After other methods than
            gradient-descent, nesterov, polyak, proximal-gradient and sgd the penalty is taken by
            its gradient.
        lr: the learning rate; None: with the methods named above by how much the loss bends on the
            data, else 0.001.
        schedule: of the learning rate; None for cosine, in ``partial_fit`` for constant.
        options: any other options of a run by name, as ``{"beta": 0.5, "warmup": 100}``.
        batch_size: examples in a mini-batch, at most all; auto: all up to 5,000 rows, where zeros
            are exact, then by their number.
        epochs: passes over the data; auto: 5, or as many as 1,000 steps take.
        early_stopping: whether rows are held on which the epoch is chosen whose parameters remain.
        validation_fraction: the share of the rows that is held.
        patience: epochs without a better one after which a training ends.
        class_weight: what each class counts, by label; balanced: each class as much as any other.
        scaling: of the columns: standard (by mean and deviation; sparse X by the largest absolute
            value alone) or None.
        warm_start: whether ``fit`` begins with the parameters of the fit before.
        random_state: of the parameters, the order and the rows held.
        dtype: float32 or float64; auto: float32, but float64 for X of float64 up to 1,000 rows.
        engine: auto, native or eager.
        verbose: print a line after every epoch.

    Attributes:
        coef_: A on X as it was given, ``[C, d]``; of two classes ``[1, d]``, for the second.
        intercept_: b, ``[C]`` or ``[1]``.
        classes_: the labels; what else there is, as in :class:`GradusClassifier`.

    Raises:
        InputError: (a ValueError) a parameter does not belong to the choices made or is out of its
            range; y has one class only; the training diverges.

    Example:
        >>> from sklearn.datasets import load_breast_cancer
        >>> X, y = load_breast_cancer(return_X_y=True)
        >>> few = GradusLinearClassifier("l1", strength=0.02, random_state=0).fit(X, y)
        >>> few.score(X, y) > 0.95, int((few.coef_ != 0).sum())
        (True, 10)

    Source:
        Duchi and Singer (2009), Efficient online and batch learning using forward backward
        splitting, equations (2)-(3) (the proximal steps).
    """

    label_smoothing = 0.0

    def __init__(
        self,
        penalty: str | None = None,
        *,
        strength: float | None = None,
        l1_ratio: float | None = None,
        loss: str = "cross-entropy",
        method: str = "nesterov",
        lr: float | None = None,
        schedule: str | None = None,
        options: Mapping[str, Any] | None = None,
        batch_size: int | str = "auto",
        epochs: int | str = "auto",
        early_stopping: bool | str = False,
        validation_fraction: float = 0.15,
        patience: int | None = 16,
        class_weight: Mapping[Any, float] | str | None = None,
        scaling: str | None = "standard",
        warm_start: bool = False,
        random_state: Any = None,
        dtype: str = "auto",
        engine: str = "auto",
        verbose: bool | int = False,
    ) -> None:
        self.penalty = penalty
        self.strength = strength
        self.l1_ratio = l1_ratio
        self.loss = loss
        self.method = method
        self.lr = lr
        self.schedule = schedule
        self.options = options
        self.batch_size = batch_size
        self.epochs = epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.class_weight = class_weight
        self.scaling = scaling
        self.warm_start = warm_start
        self.random_state = random_state
        self.dtype = dtype
        self.engine = engine
        self.verbose = verbose

    @property
    def coef_(self) -> Array:
        """A on X as it was given, ``[C, d]``; of two classes ``[1, d]``, for the second.

        It is the difference of the two, and with the losses of a margin half of that.
        """
        return self._of_two(self._coefficients()[0])

    @property
    def intercept_(self) -> Array:
        """B likewise, ``[C]`` or ``[1]``."""
        return self._of_two(self._coefficients()[1])

    def decision_function(self, X: Any) -> Array:
        """Scores: of two classes of the second over the first, ``[N]``; else ``[N, C]``."""
        check_is_fitted(self)
        if len(self.classes_) > 2:
            all_scores: Array = self._outputs(X)[0]
            return all_scores
        (network,) = self.networks_
        apart = [(self._of_two(each),) for each in (network.weights[0], network.biases[0])]
        scores: Array = replace(network, weights=apart[0], biases=apart[1]).outputs(self._seen(X))
        return scores[:, 0]

    def predict(self, X: Any) -> Array:
        """The likeliest label of each row, ``[N]``."""
        check_is_fitted(self)
        if len(self.classes_) > 2:
            return super().predict(X)
        found: Array = self.classes_[(self.decision_function(X) > 0).astype(int)]
        return found

    @available_if(_gives_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, ``[N, C]``."""
        if self.loss not in MARGINS:
            return super().predict_proba(X)
        shares = (np.clip(self._outputs(X)[0], -1, 1) + 1) / 2
        shares[shares.sum(axis=1) == 0] = 1  # where none is likely, each is as likely
        found: Array = shares / shares.sum(axis=1, keepdims=True)
        return found

    @available_if(_gives_probabilities)  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of ``predict_proba``."""
        if self.loss not in MARGINS:
            return super().predict_log_proba(X)
        with np.errstate(divide="ignore"):
            found: Array = np.log(self.predict_proba(X))
        return found

    def _of_two(self, values: Array) -> Array:
        """Of two classes the score of the second; of more all."""
        if len(values) > 2:
            return values
        apart: Array = values[1:] - values[:1]
        return apart / 2 if self.loss in MARGINS else apart

    def _loss_name(self) -> str:
        if self.loss in OTHER_NAMES:
            raise InputError(f"loss {self.loss}: is called {OTHER_NAMES[self.loss]} here")
        if self.loss not in LOSSES:
            raise InputError(f"loss {quoted(self.loss)}: choose {' | '.join(LOSSES)}")
        return self.loss

    def _loss(self) -> dict[str, Any]:
        return {} if self._loss_name() in MARGINS else super()._loss()

    def _build_loss(self, spec: RunSpec) -> Loss:
        from gradus.risk import losses

        margin = MARGINS.get(self.loss)
        return super()._build_loss(spec) if margin is None else getattr(losses, margin)()

    def _kernels_loss(self, spec: RunSpec) -> words.Loss:
        from gradus.engine.words import mean_of

        return mean_of(self.loss) if self.loss in MARGINS else super()._kernels_loss(spec)


class GradusLinearRegressor(Linear, Regressor):
    r"""Numbers by linear regression, with L1, L2 or elastic net.

    It minimises

    $$R(A, b) = \frac{\sum_i v_i \, L(A x_i + b, y_i)}{\sum_i v_i} + \lambda \Omega(A, b)$$

    with the sample weights $v_i$, by mini-batches and proximal steps of the penalty, which make
    coefficients exactly zero. The penalty is of A and b, on the scaled columns and targets.

    Args:
        penalty: $\Omega$, as all that is not named here: see :class:`GradusLinearClassifier`.
        strength: likewise.
        l1_ratio: likewise.
        loss: mse, l1, huber or pinball.
        delta: $\delta$ of huber, in deviations where targets are standardised.
        quantile: $\tau$ of pinball.
        standardize_target: learn y at mean 0 and deviation 1, and predict it in its own unit.
        method: likewise.
        lr: likewise.
        schedule: likewise.
        options: likewise.
        batch_size: likewise.
        epochs: likewise.
        early_stopping: likewise.
        validation_fraction: likewise.
        patience: likewise.
        scaling: likewise.
        warm_start: likewise.
        random_state: likewise.
        dtype: likewise.
        engine: likewise.
        verbose: likewise.

    Attributes:
        coef_: A on X as it was given, in units of y: ``[d]``, or ``[m, d]`` for y ``[N, m]``.
        intercept_: b, a number or ``[m]``.

    Raises:
        InputError: (a ValueError) a parameter does not belong to the choices made or is out of its
            range; the training diverges.

    Example:
        >>> X = np.arange(12.0).reshape(6, 2) % 5
        >>> line = GradusLinearRegressor(random_state=0).fit(X, 3 * X[:, 0] - X[:, 1] + 5)
        >>> line.coef_.round(3), round(line.intercept_, 3)
        (array([ 3., -1.]), 5.0)
    """

    def __init__(
        self,
        penalty: str | None = None,
        *,
        strength: float | None = None,
        l1_ratio: float | None = None,
        loss: str = "mse",
        delta: float | None = None,
        quantile: float | None = None,
        standardize_target: bool = True,
        method: str = "nesterov",
        lr: float | None = None,
        schedule: str | None = None,
        options: Mapping[str, Any] | None = None,
        batch_size: int | str = "auto",
        epochs: int | str = "auto",
        early_stopping: bool | str = False,
        validation_fraction: float = 0.15,
        patience: int | None = 16,
        scaling: str | None = "standard",
        warm_start: bool = False,
        random_state: Any = None,
        dtype: str = "auto",
        engine: str = "auto",
        verbose: bool | int = False,
    ) -> None:
        self.penalty = penalty
        self.strength = strength
        self.l1_ratio = l1_ratio
        self.loss = loss
        self.delta = delta
        self.quantile = quantile
        self.standardize_target = standardize_target
        self.method = method
        self.lr = lr
        self.schedule = schedule
        self.options = options
        self.batch_size = batch_size
        self.epochs = epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.scaling = scaling
        self.warm_start = warm_start
        self.random_state = random_state
        self.dtype = dtype
        self.engine = engine
        self.verbose = verbose

    def _loss_name(self) -> str:
        return str(self._loss()["loss"])

    @property
    def coef_(self) -> Array:
        """A on X as it was given, in units of y: ``[d]``, or ``[m, d]`` for y ``[N, m]``."""
        found: Array = self._coefficients()[0] * self._scale[:, None]
        return found[0] if self._one_dimensional else found

    @property
    def intercept_(self) -> Array | float:
        """B likewise: a number or ``[m]``."""
        found: Array = self._coefficients()[1] * self._scale + self._centre
        return float(found[0]) if self._one_dimensional else found
