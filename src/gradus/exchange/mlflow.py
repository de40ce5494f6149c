"""Runs and sweeps in a store of MLflow: a database file, to which every export adds."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gradus.errors import InputError, quoted
from gradus.exchange.tracked import Tracked

METRICS, PARAMETERS = 1000, 100
"""At most in one request, as MLflow has it."""

LONGEST = 6000
"""Characters of the value of a parameter, as MLflow has it."""

ENDED = {"finished": "FINISHED", "interrupted": "KILLED", "pruned": "KILLED"}
"""What MLflow calls how a run ended; anything else is FAILED."""


def write_run(run: Tracked, store: Path) -> None:
    """Add a run to a store, in the experiment ``gradus``.

    Raises:
        InputError: MLflow is not installed, or the file is no store of it.
    """
    with _client(store) as client:
        _write(client, _experiment(client, "gradus"), run, {})


def write_sweep(name: str, runs: Iterable[Tracked], store: Path) -> int:
    """Add a sweep to a store: an experiment of its name, in it a run with a child a run.

    Returns:
        How many runs were written.

    Raises:
        InputError: MLflow is not installed, or the file is no store of it.
    """
    count = 0
    with _client(store) as client:
        experiment = _experiment(client, name)
        parent = client.create_run(experiment, run_name=name).info.run_id
        for run in runs:
            _write(client, experiment, run, {"mlflow.parentRunId": parent})
            count += 1
        client.set_terminated(parent, "FINISHED")
    return count


def _experiment(client: Any, name: str) -> str:
    found = client.get_experiment_by_name(name)
    return str(client.create_experiment(name) if found is None else found.experiment_id)


def _write(client: Any, experiment: str, run: Tracked, tags: dict[str, str]) -> None:
    from mlflow.entities import Metric, Param

    began = time.time() - run.seconds if run.began is None else run.began

    def moment(step: int) -> int:
        """In milliseconds, at the mean pace of the run."""
        return round(1000 * (began + run.seconds * step / max(1, run.steps)))

    begun = client.create_run(
        experiment,
        start_time=moment(0),
        run_name=run.name,
        tags={"gradus.status": run.status, **tags},
    )
    metrics = [
        Metric(
            _key(curve.name if curve.of_history else f"evaluation/{curve.name}"), v, moment(s), s
        )
        for curve in run.curves
        for s, v in zip(curve.steps.tolist(), curve.values.tolist(), strict=True)
    ]
    metrics += [
        Metric(_key(f"final/{name}"), value, moment(run.steps), run.steps)
        for name, value in run.figures.items()
    ]
    options = [Param(_key(name), str(v)[:LONGEST]) for name, v in run.options.items()]
    for at in range(0, len(metrics), METRICS):
        client.log_batch(begun.info.run_id, metrics=metrics[at : at + METRICS])
    for at in range(0, len(options), PARAMETERS):
        client.log_batch(begun.info.run_id, params=options[at : at + PARAMETERS])
    ended = ENDED.get(run.status, "FAILED")
    client.set_terminated(begun.info.run_id, ended, end_time=moment(run.steps))


def _key(name: str) -> str:
    """A name of which MLflow takes every character."""
    return re.sub(r"[^\w\-. /:]", "_", name)


@contextmanager
def _client(store: Path) -> Iterator[Any]:
    if find_spec("mlflow") is None:
        raise InputError("--to mlflow: MLflow is not installed; pip install 'gradus[trackers]'")
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    if store.is_dir():
        raise InputError(f"--out {store}: is a folder; give the file of a store, as mlflow.db")
    log = logging.getLogger("mlflow")  # it tells of every table that it makes
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
        yield MlflowClient(tracking_uri=f"sqlite:///{store.resolve()}")
    except MlflowException as error:
        raise InputError(f"--out {store}: MLflow says: {quoted(error)}") from error
    finally:
        log.setLevel(level)
