"""What the estimators have in common: from parameters and data to trained nets."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    check_random_state,
    validate_data,
)

from gradus.errors import InputError, quoted
from gradus.importing import without_collection
from gradus.sklearn import inputs
from gradus.sklearn.examples import Examples
from gradus.sklearn.network import Network

if TYPE_CHECKING:
    from gradus.engine import words
    from gradus.risk.losses import Loss
    from gradus.runs.spec import RunSpec
    from gradus.sklearn.memory import Memory
    from gradus.sklearn.training import Trained

Array = NDArray[Any]

SMALL = 64
"""Rows up to which every step sees all of them, where the batch size is free: a weight is then a
number of repetitions to the last digits. From more on, where that is free, some are held to choose
the epoch by."""

PRECISE = 1_000
"""Rows up to which float64 stays float64: it takes no time there."""

ACCEPTED: Mapping[str, Any] = {
    "dtype": [np.float64, np.float32, np.uint8],
    "accept_sparse": "csr",
}
"""What X may be."""

WITHOUT_END = "constant"
"""The schedule of epochs of which nobody knows how many will come."""


class Call(NamedTuple):
    """What is asked for."""

    partial: bool
    """One more epoch over these rows alone."""
    goes_on: bool
    """Nets are there, with which it begins."""
    classes: Any = None
    """All labels, where they are named."""
    trimmed: bool = False
    """Rows that do not count were left out."""


class Fit(NamedTuple):
    """The rows that are fitted to."""

    X: Any
    """An array, or a CSR matrix of SciPy."""
    y: Array
    weights: NDArray[np.float64] | None
    """What each row counts, > 0; None where all count alike."""


class Estimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Nets behind scikit-learn's protocol; what they are and what y is, is said further down.

    Attributes:
        networks_: the nets, which are averaged.
        loss_curve_: the mean loss over each epoch of the first net, as the method saw it.
        validation_curve_: the mean loss on the rows held after each epoch; None where none are.
        n_iter_: the most epochs that a net was trained for.
        engine_: which engine trained them.
    """

    networks_: list[Network]
    inputs_: inputs.Inputs
    loss_curve_: list[float]
    n_iter_: int
    _memories: list[Memory | None]

    @abstractmethod
    def _targets(self, y: Array, call: Call) -> Array:
        """Y as nets may learn it: numbers of classes, or numbers."""

    @abstractmethod
    def _examples(self, x: Any, fit: Fit, call: Call) -> Examples:
        """What nets are trained on."""

    @abstractmethod
    def _loss(self) -> dict[str, Any]:
        """The loss, as options of a run."""

    @abstractmethod
    def _given(self, examples: Examples, call: Call) -> dict[str, Any]:
        """Parameters that are options of a run, by name; None and ``auto`` where they are free."""

    @abstractmethod
    def _sized(self, rows: int, columns: int) -> dict[str, Any]:
        """What is taken where options are free, for so many rows and columns."""

    def __new__(cls, *given: Any, **named: Any) -> Self:
        """An estimator to be, of parameters that there are."""
        known = cls._get_param_names()
        for name in named:
            if name not in known:
                from gradus.runs.spec import no_such_option
                from gradus.runs.words import as_call

                raise InputError(f"{cls.__name__}: {as_call(no_such_option(name, known))}")
        made: Self = super().__new__(cls)
        return made

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _fitted(
        self, X: Any, y: Any, sample_weight: Any, *, classes: Any = None, partial: bool = False
    ) -> Self:
        with unchanged_by_failure(self):
            goes_on = hasattr(self, "networks_") and (partial or self.warm_start)
            call = Call(partial, goes_on, classes)
            fit = self._checked(X, y, sample_weight, call)
            held = self._held(fit.X.shape[0], partial)
            x = self._encoded(fit, goes_on)
            examples = self._examples(x, fit, call)
            with without_collection():
                from gradus.sklearn.training import Minimised, train
            with words_of_parameters():
                spec = self._spec(examples, fit.X.shape[1], call)
                trained = train(
                    spec,
                    examples,
                    self.activation,
                    Minimised(self._kernels_loss(spec), lambda: self._build_loss(spec)),
                    validation_fraction=held,
                    since=self._nets_so_far(spec, examples) if goes_on else (),
                    memories=self._memories if goes_on and partial else (),
                    keeps_memory=partial,
                    threads=self._threads(spec.models),
                    tell=self._tell(),
                )
            self._keep(trained, call)
            return self

    def _checked(self, X: Any, y: Any, sample_weight: Any, call: Call) -> Fit:
        """The rows that count, as arrays.

        Raises:
            ValueError: they are none that can be fitted to.
        """
        fresh = not call.goes_on
        with without_advice():
            X, y = validate_data(self, X, y, reset=fresh, multi_output=True, **ACCEPTED)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
            counting = weights > 0
            if not counting.any():
                raise InputError("sample_weight: is zero for every row; one at least has to count")
            if not counting.all():
                X, y, weights = X[counting], y[counting], weights[counting]
                call = call._replace(trimmed=True)
            if (weights == weights[0]).all():
                weights = None
        return Fit(X, self._targets(y, call), weights)

    def _spec(self, examples: Examples, columns: int, call: Call) -> RunSpec:
        """The options of the training.

        Raises:
            InputError: one is out of its range, or does not belong to the choice made.
        """
        from gradus.runs.choices import ON_ALL_DATA
        from gradus.runs.spec import RunSpec
        from gradus.runs.table_defaults import PREPARED, defaults_for

        free = (None, "auto")
        given = {
            name: value
            for name, value in (self._given(examples, call) | self._options()).items()
            if not any(value is each or str(value) == each for each in free)
        }
        if call.goes_on:
            given.setdefault("models", len(self.networks_))
        if call.partial:
            if given.get("schedule", WITHOUT_END) != WITHOUT_END:
                raise InputError(
                    f"schedule {quoted(given['schedule'])}: partial_fit does not know how many "
                    f"epochs will come; give {WITHOUT_END}"
                )
            given |= {"schedule": WITHOUT_END, "epochs": 1}
        usual = defaults_for(given, frozenset(ON_ALL_DATA))
        sized = self._sized(examples.rows, columns)
        values = {
            name: sized.get(name, value) for name, value in usual.items() if name not in PREPARED
        }
        values |= {"patience": self.patience, "seed": self._seed()}
        return RunSpec.read(values | self._loss() | given)

    def _build_loss(self, spec: RunSpec) -> Loss:
        """What is minimised, for PyTorch."""
        return spec.build_loss(None)

    def _kernels_loss(self, spec: RunSpec) -> words.Loss:
        """The same in the words of the kernels."""
        from gradus.engine.words import mean_of

        shape = spec.delta if spec.quantile is None else spec.quantile
        return mean_of(str(spec.loss), smoothing=spec.label_smoothing or 0.0, shape=shape or 0.0)

    def _options(self) -> dict[str, Any]:
        """Those of a run that are no parameters.

        Raises:
            InputError: one is none of them.
        """
        from gradus.methods.catalogue import entries
        from gradus.runs.parts import SchedulePart
        from gradus.runs.spec import nearest

        given = {} if self.options is None else self.options
        if not isinstance(given, Mapping):
            raise InputError(f"options {quoted(given)}: give a mapping, as {{'warmup': 100}}")
        of_methods = {each.name for entry in entries().values() for each in entry.hyperparameters}
        known = {*of_methods, *SchedulePart.model_fields, "sampling"}
        for name in given:
            if name in self.get_params():
                raise InputError(f"options {quoted(name)}: is a parameter of its own; give it so")
            if name not in known:
                near = nearest(name, [*known, *self.get_params()])
                raise InputError(f"options {quoted(name)}: no such option{near}")
        return dict(given)

    def _seed(self) -> int:
        if isinstance(self.random_state, int | np.integer):
            if self.random_state < 0:
                raise InputError(f"random_state {self.random_state}: give 0 or a positive number")
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _dtype(self, X: Any, goes_on: bool) -> np.dtype[Any]:
        if goes_on:
            return self.networks_[0].dtype
        if self.dtype == "auto":
            precise = X.dtype == np.float64 and X.shape[0] <= PRECISE
            return np.dtype(np.float64 if precise else np.float32)
        if self.dtype not in ("float32", "float64"):
            raise InputError(f"dtype {quoted(self.dtype)}: give auto, float32 or float64")
        return np.dtype(self.dtype)

    def _encoded(self, fit: Fit, goes_on: bool) -> Any:
        """What nets see of the rows; what was fitted to them stays as ``inputs_``."""
        dtype = self._dtype(fit.X, goes_on)
        if goes_on:
            return self.inputs_.encode(fit.X, dtype)
        if self.scaling not in (None, "standard", "robust"):
            raise InputError(f"scaling {quoted(self.scaling)}: give robust, standard or None")
        rows, columns = fit.X.shape
        pieces = self._sized(rows, columns)["pieces"] if self.pieces == "auto" else self.pieces
        if not isinstance(pieces, int | np.integer) or pieces < 0:
            raise InputError(f"pieces {quoted(pieces)}: give auto or a whole number from 0 on")
        weights = fit.weights
        if weights is None and rows <= SMALL:
            weights = np.ones(rows)  # so that quantiles are those of weights
        names = getattr(self, "feature_names_in_", None)
        self.inputs_, x = inputs.fitted(
            fit.X,
            weights,
            self.scaling or "none",
            int(pieces),
            () if issparse(fit.X) else tuple(map(str, range(columns) if names is None else names)),
            dtype,
        )
        return x

    def _held(self, rows: int, partial: bool) -> float:
        """The share of the rows that is held to choose the epoch by."""
        if self.early_stopping not in (True, False, "auto"):
            raise InputError(
                f"early_stopping {quoted(self.early_stopping)}: give auto, True or False"
            )
        holds = rows > SMALL if self.early_stopping == "auto" else self.early_stopping
        if partial or not holds:
            return 0.0
        share = self.validation_fraction
        if not isinstance(share, int | float | np.number) or not 0 < share < 1:
            raise InputError(
                f"validation_fraction {quoted(self.validation_fraction)}: give a number between 0 "
                "and 1, such as 0.15"
            )
        return float(share)

    def _nets_so_far(self, spec: RunSpec, examples: Examples) -> Sequence[Network]:
        """Those of the earlier fit, which this one goes on with."""
        wanted = [examples.x.shape[1], *(spec.hidden or ()), examples.outputs]
        there = self.networks_[0].widths
        if len(self.networks_) != spec.models or there != wanted:
            raise InputError(
                f"warm_start: {len(self.networks_)} nets of widths {there} were fitted, and "
                f"{spec.models} of {wanted} are asked for; fit a clone, or keep hidden and models"
            )
        return self.networks_

    def _threads(self, models: int) -> int:
        from joblib import effective_n_jobs

        if not isinstance(self.n_jobs, int | np.integer | None):
            raise InputError(
                f"n_jobs {quoted(self.n_jobs, 60)}: give how many nets train at once, as 2; -1: "
                "one on every processor"
            )
        return min(models, int(effective_n_jobs(self.n_jobs)))

    def _tell(self) -> Any:
        if not self.verbose:
            return None
        import click

        return lambda line: click.echo(f"{type(self).__name__}: {line}")

    def _keep(self, trained: Sequence[Trained], call: Call) -> None:
        first = trained[0]
        self.networks_ = [each.network for each in trained]
        self._memories = [each.memory for each in trained] if call.partial else []
        curve = [row.running_train_loss for row in first.evaluation]
        epochs = max(len(each.evaluation) for each in trained)
        if call.partial and call.goes_on:
            curve = [*self.loss_curve_, *curve]
            epochs += self.n_iter_
        self.loss_curve_, self.n_iter_, self.engine_ = curve, epochs, first.engine
        held = [row.validation_loss for row in first.evaluation]
        self.validation_curve_ = None if held[0] is None else held

    def _seen(self, X: Any) -> Any:
        """What nets see of rows that they are to predict, ``[N, features]``."""
        check_is_fitted(self)
        with without_advice():
            X = validate_data(self, X, reset=False, **ACCEPTED)
        return self.inputs_.encode(X, self.networks_[0].dtype)

    def _outputs(self, X: Any) -> Array:
        """What each net gives, ``[K, N, m]``."""
        x = self._seen(X)
        threads = _openmp_effective_n_threads()
        if len(self.networks_) == 1:
            return self.networks_[0].outputs(x, threads)[None]
        return np.stack([network.outputs(x, threads) for network in self.networks_])


@contextmanager
def unchanged_by_failure(estimator: Estimator) -> Iterator[None]:
    """Within, what fails leaves an estimator as it was, with all that an earlier fit found."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        estimator.__dict__ = before
        raise


@contextmanager
def without_advice() -> Iterator[None]:
    """Within, a missing value is said in one line, where scikit-learn names other estimators."""
    try:
        yield
    except ValueError as error:
        first, advice, _ = str(error).partition("\n")
        if not advice or "contains NaN" not in first:
            raise
        raise ValueError(
            f"{first.rstrip('.')}: fill it in, as by sklearn.impute.SimpleImputer in a pipeline"
        ) from None


@contextmanager
def words_of_parameters() -> Iterator[None]:
    """Within, what is wrong is said of parameters, not of options of the command line."""
    try:
        yield
    except InputError as error:
        raise InputError(in_words(str(error))) from None


def in_words(message: str) -> str:
    """What is said of options of the command line, said of parameters.

    Example:
        >>> in_words("--l1-ratio 2: must be at most 1; use --penalty l1")
        'l1_ratio 2: must be at most 1; use penalty l1'
    """
    if message.startswith("--method: an object of"):
        return "method: an object, where an estimator takes a name, as 'adam', with lr=.. beside it"
    return re.sub(r"--([a-z][a-z0-9-]*)", lambda found: found[1].replace("-", "_"), message)
