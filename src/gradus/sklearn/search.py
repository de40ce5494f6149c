"""A search by cross-validation whose fits run side by side in threads and share their data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Self

import numpy as np
from joblib import effective_n_jobs, parallel_config
from sklearn.model_selection import ParameterGrid, ParameterSampler
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import get_tags

from gradus.errors import InputError, quoted
from gradus.sklearn.sharing import shared
from gradus.sklearn.threads import one_thread_each

Candidates = Iterable[Mapping[str, Any]]
Space = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class SweepCV(BaseSearchCV):  # type: ignore[misc]  # scikit-learn has no types
    """All candidates on all folds, as scikit-learn's searches train them, in less time.

    The fits of a search differ little: a few folds, on each the same rows for every candidate. Here
    they run in threads of one process (the core holds no lock of Python's): none is started,
    imports PyTorch or is sent a copy of the data; and on each fold columns are scaled and cut once
    for all candidates that want it alike. Scores are those of ``GridSearchCV`` on the same folds.

    Args:
        estimator: an estimator of Gradus, or a pipeline that ends in one; any other is searched
            too, but gains nothing.
        space: values of each parameter by name, or several such mappings: all combinations of each
            are candidates. With ``n_iter`` also distributions, anything with ``rvs``.
        n_iter: how many candidates are drawn from the space; None for all there are.
        scoring: as in ``GridSearchCV``, and so are all that follow.
        n_jobs: how many fits run at once, each in a thread; -1 for one on every processor.
        refit: whether the best candidate is fitted to all rows, and by which score it is chosen.
        cv: the folds.
        verbose: how much is told.
        error_score: the score of a fit that fails; ``"raise"`` to stop there.
        return_train_score: whether training rows are scored too.
        random_state: of the candidates that are drawn.

    Attributes:
        cv_results_: for every candidate its parameters, its scores on every fold, their means,
            deviations and ranks; what else there is, as in ``GridSearchCV``: ``best_estimator_``,
            ``best_params_``, ``best_score_``, ``best_index_``, ``scorer_``, ``n_splits_``.

    Raises:
        InputError: (a ValueError) a space of distributions has no ``n_iter``.

    Example:
        >>> from gradus.sklearn import GradusLinearClassifier
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> flowers = GradusLinearClassifier("l1", epochs=100, random_state=0)
        >>> search = SweepCV(flowers, {"strength": [0.001, 1.0]}, n_jobs=2).fit(X, y)
        >>> search.best_params_, search.predict(X[:2])
        ({'strength': 0.001}, array([0, 0]))
    """

    def __init__(
        self,
        estimator: Any,
        space: Space,
        *,
        n_iter: int | None = None,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: bool | str | Callable[..., int] = True,
        cv: Any = None,
        verbose: int = 0,
        error_score: float | str = np.nan,
        return_train_score: bool = False,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            estimator=estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.space = space
        self.n_iter = n_iter
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Fit every candidate on every fold, and the best of them to all rows.

        Args:
            X: ``[N, d]``.
            y: labels or numbers.
            params: passed on to the estimator, the folds and the scorer, as ``sample_weight`` is.
        """
        with parallel_config("threading"):
            found: Self = super().fit(X, y, **params)
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = get_tags(self.estimator).target_tags.multi_output
        return tags

    def _run_search(self, evaluate_candidates: Callable[[Iterable[Any]], Any]) -> None:
        candidates = self._candidates()
        with ExitStack() as within:
            within.enter_context(shared())
            if effective_n_jobs(self.n_jobs) > 1:
                within.enter_context(one_thread_each())
            evaluate_candidates(candidates)

    def _candidates(self) -> Candidates:
        if self.n_iter is not None:
            drawn: Candidates = ParameterSampler(
                self.space, self.n_iter, random_state=self.random_state
            )
            return drawn
        for part in [self.space] if isinstance(self.space, Mapping) else self.space:
            for name, values in part.items():
                if hasattr(values, "rvs"):
                    raise InputError(
                        f"space {quoted(name)}: is a distribution; say by n_iter how many "
                        "candidates are drawn, or give a list of values"
                    )
        combinations: Candidates = ParameterGrid(self.space)
        return combinations
