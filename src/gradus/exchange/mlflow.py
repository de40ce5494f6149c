"""Runs and sweeps in a store of MLflow: a database file, to which every export adds."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, final

from gradus.errors import InputError, quoted
from gradus.exchange.tracked import End, Options, Point, Tracked

METRICS, PARAMETERS = 1000, 100
"""At most in one request, as MLflow has it."""

LONGEST = 6000
"""Characters of the value of a parameter, as MLflow has it."""

ENDED = {"finished": "FINISHED", "interrupted": "KILLED", "pruned": "KILLED"}
"""What MLflow calls how a run ended; anything else is FAILED."""

EXPERIMENT = "gradus"
"""In which runs stand that are of no sweep."""

PARENT = "mlflow.parentRunId"
"""The tag by which MLflow knows the parent of a run."""


@final
class Session:
    """A run in a store.

    Args:
        client: of the store.
        experiment: the id of that in which it stands.
        name: of the run.
        options: of it.
        began: when, in seconds since 1970; None: now.
        tags: of it.
    """

    def __init__(
        self,
        client: Any,
        experiment: str,
        name: str,
        options: Options,
        *,
        began: float | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        from mlflow.entities import Param

        self.client = client
        begun = client.create_run(
            experiment, start_time=_milliseconds(began), run_name=name, tags=dict(tags or {})
        )
        self.run = begun.info.run_id
        given = [Param(_key(name), str(v)[:LONGEST]) for name, v in options.items()]
        for at in range(0, len(given), PARAMETERS):
            client.log_batch(self.run, params=given[at : at + PARAMETERS])

    def log(self, points: Iterable[Point]) -> None:
        """Write numbers, many at once."""
        from mlflow.entities import Metric

        metrics = [
            Metric(_key(name), value, _milliseconds(moment), step)
            for name, step, value, moment in points
        ]
        for at in range(0, len(metrics), METRICS):
            self.client.log_batch(self.run, metrics=metrics[at : at + METRICS])

    def end(self, end: End) -> None:
        """Write the final figures and how it ended."""
        self.log(end.points)
        self.client.set_tag(self.run, "gradus.status", end.status)
        ended = ENDED.get(end.status, "FAILED")
        self.client.set_terminated(self.run, ended, end_time=_milliseconds(end.moment))


def write_run(run: Tracked, store: Path) -> None:
    """Add a run to a store, in the experiment ``gradus``.

    Raises:
        InputError: MLflow is not installed, or the file is no store of it.
    """
    check_installed("--to mlflow")
    with _client(store) as client:
        _write(client, experiment_of(client, EXPERIMENT), run, {})


def write_sweep(name: str, runs: Iterable[Tracked], store: Path) -> int:
    """Add a sweep to a store: an experiment of its name, in it a run with a child a run.

    Returns:
        How many runs were written.

    Raises:
        InputError: MLflow is not installed, or the file is no store of it.
    """
    check_installed("--to mlflow")
    count = 0
    with _client(store) as client:
        experiment = experiment_of(client, name)
        parent = client.create_run(experiment, run_name=name).info.run_id
        for run in runs:
            _write(client, experiment, run, {PARENT: parent})
            count += 1
        client.set_terminated(parent, "FINISHED")
    return count


def experiment_of(client: Any, name: str) -> str:
    """The id of an experiment, which is made where there is none of the name."""
    found = client.get_experiment_by_name(name)
    return str(client.create_experiment(name) if found is None else found.experiment_id)


def check_installed(said: str) -> None:
    """Refuse to begin without MLflow.

    Raises:
        InputError: it is not installed.
    """
    if find_spec("mlflow") is None:
        raise InputError(f"{said}: MLflow is not installed; pip install 'gradus[trackers]'")


def client_of(uri: str) -> Any:
    """The client of a store; MLflow tells of every table that it makes: that is left out."""
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri)


def _write(client: Any, experiment: str, run: Tracked, tags: dict[str, str]) -> None:
    if run.began is None:
        run = replace(run, began=time.time() - run.seconds)
    run.write(Session(client, experiment, run.name, run.options, began=run.began, tags=tags))


def _milliseconds(moment: float | None) -> int:
    return round(1000 * (time.time() if moment is None else moment))


def _key(name: str) -> str:
    """A name of which MLflow takes every character."""
    return re.sub(r"[^\w\-. /:]", "_", name)


@contextmanager
def _client(store: Path) -> Iterator[Any]:
    from mlflow.exceptions import MlflowException

    if store.is_dir():
        raise InputError(f"--out {store}: is a folder; give the file of a store, as mlflow.db")
    log = logging.getLogger("mlflow")
    level = log.level
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
        yield client_of(f"sqlite:///{store.resolve()}")
    except MlflowException as error:
        raise InputError(f"--out {store}: MLflow says: {quoted(error)}") from error
    finally:
        log.setLevel(level)
