"""How the record of a run is written."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.torch import save_model

from gradus.errors import quoted
from gradus.importing import without_collection
from gradus.runs.files import finite, sync_folder, write_whole
from gradus.runs.record import Run
from gradus.runs.record_files import OVERVIEW, PREDICTIONS, PREPARATION, REPORT

if TYPE_CHECKING:
    from torch import nn


def save(run: Run, folder: Path, *, drawn: bool = True) -> Path:
    """See `Run.save`."""
    # Of an opened run all is read before anything is written: the folder may be its own.
    model = run.model
    said = run.test_predictions if run.keeps_predictions else None
    prepared = run.preparation if run.is_prepared else None
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").unlink(missing_ok=True)
    sync_folder(folder)
    write_tables(folder, run.history, run.evaluation)
    for name in (PREDICTIONS, OVERVIEW, REPORT):  # of a run that is overwritten
        (folder / name).unlink(missing_ok=True)
    if said is not None:
        sink = io.BytesIO()
        pq.write_table(said.table(), sink)
        write_whole(folder / PREDICTIONS, sink.getvalue())
    write_parameters(folder, model)
    (folder / PREPARATION).unlink(missing_ok=True)
    if prepared is not None:
        record = json.dumps(prepared.record(), indent=1, ensure_ascii=False)
        write_whole(folder / PREPARATION, record.encode() + b"\n")
    if drawn:
        write_curve(folder, run)
    write_json(folder / "run.json", {"spec": run.spec.model_dump(mode="json"), **run.summary})
    return folder


def write_tables(folder: Path, history: pa.Table, evaluation: pa.Table) -> None:
    """Both tables of a record."""
    for name, table in (("history", history), ("evaluation", evaluation)):
        sink = io.BytesIO()
        pq.write_table(table, sink)
        write_whole(folder / f"{name}.parquet", sink.getvalue())


def write_parameters(folder: Path, model: nn.Module) -> None:
    """What a model holds; parameters that share memory are written once."""
    with tempfile.TemporaryDirectory(dir=folder) as beside:
        # Only a path can be given for that.
        try:
            save_model(model, str(Path(beside) / "model"))
        except SafetensorError as error:  # also where the disk is full
            raise OSError(None, quoted(error), str(folder / "model.safetensors")) from error
        write_whole(folder / "model.safetensors", (Path(beside) / "model").read_bytes())


def write_curve(folder: Path, run: Run) -> None:
    """The loss curve, as a picture of each kind."""
    with without_collection(amid_run=True):  # matplotlib is imported here
        figure = run.plot()
        for kind in ("png", "svg"):
            sink = io.BytesIO()
            figure.savefig(sink, format=kind)
            figure.set_layout_engine("none")  # it is laid out now, for the other format too
            write_whole(folder / f"loss.{kind}", sink.getvalue())


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """A file of a record that people read too."""
    write_whole(path, json.dumps(finite(dict(content)), indent=2).encode() + b"\n")
