"""Dense nets as a classifier and a regressor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gradus.errors import InputError, quoted
from gradus.sklearn.classification import Classifier
from gradus.sklearn.estimator import SMALL, Call
from gradus.sklearn.examples import Examples
from gradus.sklearn.regression import Regressor

OPTIONS = (
    "hidden",
    "method",
    "lr",
    "momentum",
    "weight_decay",
    "schedule",
    "penalty",
    "strength",
    "l1_ratio",
    "proximal",
    "batch_size",
    "epochs",
    "models",
    "engine",
)
"""Parameters that are options of a run by the same names."""

ACTIVATIONS = ("relu", "tanh", "sigmoid", "gelu", "silu", "identity")
"""As the kernels and the models that ship call them."""

STEPS = 128
"""How many steps are taken that see all rows, where the number of epochs is free."""


class Dense:
    """What is an option of a run in the dense estimators, and what is taken where it is free."""

    activation: str

    def _given(self, examples: Examples, call: Call) -> dict[str, Any]:
        if self.activation not in ACTIVATIONS:
            known = " | ".join(ACTIVATIONS)
            raise InputError(f"activation {quoted(self.activation)}: choose {known}")
        return {name: getattr(self, name) for name in OPTIONS}

    def _sized(self, rows: int, columns: int) -> dict[str, Any]:
        from gradus.runs.table_defaults import by_size

        sized = by_size(rows, columns)
        if rows <= SMALL:
            sized |= {"batch_size": rows, "epochs": STEPS}
        return sized


class GradusClassifier(Dense, Classifier):
    r"""Classes by dense nets, whose probabilities are averaged.

    Each net minimises the cross entropy

    $$R(h_w) = \frac{\sum_i v_i c_{y_i} \, L(h_w(x_i), y_i)}{\sum_i v_i c_{y_i}}
      + \lambda \Omega(w)$$

    over mini-batches, with the sample weights $v_i$ and the class weights $c_k$.

    Args:
        hidden: widths of the hidden layers.
        activation: between the layers: relu, tanh, sigmoid, gelu, silu or identity.
        label_smoothing: share of a target that is spread evenly over all classes.
        method: how w moves, as ``gradus train --method`` names it.
        lr: the learning rate; None for 0.002 with adamw, 0.001 with others.
        momentum: of the method, where it has one; None for its default.
        weight_decay: likewise.
        schedule: of the learning rate, as ``gradus train --schedule`` names it; None for cosine
            with adamw as it is, else constant.
        options: any other options of a run by name, as ``{"betas": (0.9, 0.99), "warmup": 100}``.
        penalty: $\Omega$: l1, l2, squared-l2 or elastic-net, of all parameters.
        strength: $\lambda$.
        l1_ratio: share of L1 in elastic-net.
        proximal: take the penalty by its proximal step.
        batch_size: examples in a mini-batch, at most all; auto by the number of rows.
        epochs: passes over the data; auto likewise, and so many that 512 steps are taken.
        models: nets that differ in their seed; auto likewise.
        early_stopping: whether rows are held on which the epoch is chosen whose parameters remain;
            auto from 65 rows on.
        validation_fraction: the share of the rows that is held.
        patience: epochs without a better one after which a training ends.
        class_weight: what each class counts, by label; balanced: each class as much as any other.
        scaling: of the columns: robust (by median and quartiles, extremes drawn in), standard (by
            mean and deviation) or None; sparse X, unless None, by the largest absolute value.
        pieces: into how many each column is cut, with a feature for each; 0 for none; auto by the
            numbers of rows and columns. Sparse X is not cut.
        warm_start: whether ``fit`` begins with the parameters of the fit before.
        random_state: of the parameters, the order and the rows held. A number gives the same nets
            as ``gradus train --seed``.
        dtype: float32 or float64; auto: float32, but float64 for X of float64 up to 1,000 rows.
        engine: auto, native or eager.
        n_jobs: how many nets are trained at once, each in a thread.
        verbose: print a line after every epoch.

    Attributes:
        classes_: the labels.
        n_features_in_: columns of X.
        feature_names_in_: their names, where X has names that are text.
        networks_: the nets.
        loss_curve_: the mean loss over each epoch of the first net.
        validation_curve_: its mean loss on the rows held after each epoch, None without such.
        n_iter_: the most epochs that a net was trained for.
        engine_: which engine trained them.

    Raises:
        InputError: (a ValueError) a parameter does not belong to the choices made or is out of its
            range; y has one class only; the training diverges.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> flowers = GradusClassifier(random_state=0).fit(X, y)
        >>> flowers.predict(X[:2]), flowers.score(X, y) > 0.9
        (array([0, 0]), True)

    Source:
        D. Holzmüller, L. Grinsztajn, I. Steinwart, Better by default: strong pre-tuned MLPs and
        boosted trees on tabular data, NeurIPS 2024 (the kind of the defaults).
    """

    def __init__(
        self,
        hidden: Sequence[int] = (256,),
        *,
        activation: str = "relu",
        label_smoothing: float = 0.0,
        method: str = "adamw",
        lr: float | None = None,
        momentum: float | None = None,
        weight_decay: float | None = None,
        schedule: str | None = None,
        options: Mapping[str, Any] | None = None,
        penalty: str | None = None,
        strength: float | None = None,
        l1_ratio: float | None = None,
        proximal: bool | None = None,
        batch_size: int | str = "auto",
        epochs: int | str = "auto",
        models: int | str = "auto",
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.15,
        patience: int | None = 16,
        class_weight: Mapping[Any, float] | str | None = None,
        scaling: str | None = "robust",
        pieces: int | str = "auto",
        warm_start: bool = False,
        random_state: Any = None,
        dtype: str = "auto",
        engine: str = "auto",
        n_jobs: int | None = None,
        verbose: bool | int = False,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.label_smoothing = label_smoothing
        self.method = method
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.options = options
        self.penalty = penalty
        self.strength = strength
        self.l1_ratio = l1_ratio
        self.proximal = proximal
        self.batch_size = batch_size
        self.epochs = epochs
        self.models = models
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.class_weight = class_weight
        self.scaling = scaling
        self.pieces = pieces
        self.warm_start = warm_start
        self.random_state = random_state
        self.dtype = dtype
        self.engine = engine
        self.n_jobs = n_jobs
        self.verbose = verbose


class GradusRegressor(Dense, Regressor):
    r"""Numbers by dense nets, whose outputs are averaged.

    Each net minimises

    $$R(h_w) = \frac{\sum_i v_i \, L(h_w(x_i), y_i)}{\sum_i v_i} + \lambda \Omega(w)$$

    over mini-batches, with the sample weights $v_i$. y is one number or several.

    Args:
        hidden: widths of the hidden layers.
        activation: between the layers: relu, tanh, sigmoid, gelu, silu or identity.
        loss: mse, l1, huber or pinball.
        delta: $\delta$ of huber, in deviations where targets are standardised.
        quantile: $\tau$ of pinball.
        standardize_target: learn y at mean 0 and deviation 1, and predict it in its own unit.
        method: as all that follow: see :class:`GradusClassifier`.
        lr: likewise.
        momentum: likewise.
        weight_decay: likewise.
        schedule: likewise.
        options: likewise.
        penalty: likewise.
        strength: likewise.
        l1_ratio: likewise.
        proximal: likewise.
        batch_size: likewise.
        epochs: likewise.
        models: likewise.
        early_stopping: likewise.
        validation_fraction: likewise.
        patience: likewise.
        scaling: likewise.
        pieces: likewise.
        warm_start: likewise.
        random_state: likewise.
        dtype: likewise.
        engine: likewise.
        n_jobs: likewise.
        verbose: likewise.

    Attributes:
        networks_: the nets; what else there is, as in :class:`GradusClassifier`.

    Raises:
        InputError: (a ValueError) a parameter does not belong to the choices made or is out of its
            range; the training diverges.

    Example:
        >>> from sklearn.datasets import make_friedman1
        >>> X, y = make_friedman1(200, random_state=0)
        >>> curve = GradusRegressor(models=1, random_state=0).fit(X, y)
        >>> curve.score(X, y) > 0.8
        True
    """

    def __init__(
        self,
        hidden: Sequence[int] = (256,),
        *,
        activation: str = "relu",
        loss: str = "mse",
        delta: float | None = None,
        quantile: float | None = None,
        standardize_target: bool = True,
        method: str = "adamw",
        lr: float | None = None,
        momentum: float | None = None,
        weight_decay: float | None = None,
        schedule: str | None = None,
        options: Mapping[str, Any] | None = None,
        penalty: str | None = None,
        strength: float | None = None,
        l1_ratio: float | None = None,
        proximal: bool | None = None,
        batch_size: int | str = "auto",
        epochs: int | str = "auto",
        models: int | str = "auto",
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.15,
        patience: int | None = 16,
        scaling: str | None = "robust",
        pieces: int | str = "auto",
        warm_start: bool = False,
        random_state: Any = None,
        dtype: str = "auto",
        engine: str = "auto",
        n_jobs: int | None = None,
        verbose: bool | int = False,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.loss = loss
        self.delta = delta
        self.quantile = quantile
        self.standardize_target = standardize_target
        self.method = method
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.options = options
        self.penalty = penalty
        self.strength = strength
        self.l1_ratio = l1_ratio
        self.proximal = proximal
        self.batch_size = batch_size
        self.epochs = epochs
        self.models = models
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.scaling = scaling
        self.pieces = pieces
        self.warm_start = warm_start
        self.random_state = random_state
        self.dtype = dtype
        self.engine = engine
        self.n_jobs = n_jobs
        self.verbose = verbose
