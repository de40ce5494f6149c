"""What of the record of a sweep is the same however it came about."""

import json

from gradus.sweep.sweep import open_sweep

# Where a row stands, and how fast its run was.
VOLATILE = ("part", "train_seconds")


def record(folder):
    """The rows of all tables, to the bit, in an order of their own; NaN by its name."""
    sweep = open_sweep(folder)
    rows = sweep.runs.drop_columns([*VOLATILE]).sort_by("run").to_pylist()
    runs = [{name: "NaN" if x != x else x for name, x in row.items()} for row in rows]
    history, evaluation = (
        table.set_column(0, "run", table["run"].cast("string"))
        .sort_by([("run", "ascending"), ("epoch", "ascending"), ("samples", "ascending")])
        .to_pydict()
        for table in (sweep.history, sweep.evaluation)
    )
    return runs, history, evaluation, {path.name: model(path) for path in folder.glob("models/*")}


def model(folder):
    """The record of a run whose parameters are kept."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    said = json.loads(files.pop("run.json"))
    files = {name: content.rstrip() for name, content in files.items()}  # JSON may lose its end
    return files, {name: said[name] for name in said.keys() - {"started", "timings"}}
