"""How the record of a run is written."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.torch import save_model

from gradus.errors import quoted
from gradus.importing import without_collection
from gradus.runs.files import sync_folder, write_whole
from gradus.runs.record import OVERVIEW, PREDICTIONS, PREPARATION, REPORT, Run, finite


def save(run: Run, folder: Path) -> Path:
    """See `Run.save`."""
    # Of an opened run all is read before anything is written: the folder may be its own.
    model = run.model
    said = run.test_predictions if run.keeps_predictions else None
    prepared = run.preparation if run.is_prepared else None
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").unlink(missing_ok=True)
    sync_folder(folder)
    for name, table in (("history", run.history), ("evaluation", run.evaluation)):
        sink = io.BytesIO()
        pq.write_table(table, sink)
        write_whole(folder / f"{name}.parquet", sink.getvalue())
    for name in (PREDICTIONS, OVERVIEW, REPORT):  # of a run that is overwritten
        (folder / name).unlink(missing_ok=True)
    if said is not None:
        sink = io.BytesIO()
        pq.write_table(said.table(), sink)
        write_whole(folder / PREDICTIONS, sink.getvalue())
    with tempfile.TemporaryDirectory(dir=folder) as beside:
        # Parameters that share memory are written once; only a path can be given for that.
        try:
            save_model(model, str(Path(beside) / "model"))
        except SafetensorError as error:  # also where the disk is full
            raise OSError(None, quoted(error), str(folder / "model.safetensors")) from error
        write_whole(folder / "model.safetensors", (Path(beside) / "model").read_bytes())
    (folder / PREPARATION).unlink(missing_ok=True)
    if prepared is not None:
        record = json.dumps(prepared.record(), indent=1, ensure_ascii=False)
        write_whole(folder / PREPARATION, record.encode() + b"\n")
    with without_collection():  # matplotlib is imported here
        figure = run.plot()
        for kind in ("png", "svg"):
            sink = io.BytesIO()
            figure.savefig(sink, format=kind)
            figure.set_layout_engine("none")  # it is laid out now, for the other format too
            write_whole(folder / f"loss.{kind}", sink.getvalue())
    text = json.dumps(finite({"spec": run.spec.model_dump(mode="json"), **run.summary}), indent=2)
    write_whole(folder / "run.json", text.encode() + b"\n")
    return folder
