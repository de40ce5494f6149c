"""A run for other programs: its tables as CSV or JSON, its model as ONNX or an exported program."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from gradus.errors import InputError, quoted
from gradus.runs.files import finite, write_whole
from gradus.runs.record import Run
from gradus.runs.record_files import PREPARATION
from gradus.runs.recorded import RecordedRun
from gradus.runs.table_writing import table_writer


class Written(NamedTuple):
    """What an export has written.

    Attributes:
        paths: of the files.
        notes: what is to be said of them, a line each.
    """

    paths: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def export(run: Run, to: str, out: Path) -> Written:
    """Write a run for other programs.

    Args:
        run: a run.
        to: ``csv``: the history and the evaluation, in a file each; ``json``: these with the spec
            and the summary in one; ``onnx``: a model that takes rows as they stand in a table;
            ``torch-export``: an ``ExportedProgram`` that takes x, as the model does.
        out: the file, whose name ends in what ``SUFFIXES`` says; for ``csv`` its name goes before
            ``-history.csv`` and ``-evaluation.csv``.

    Raises:
        InputError: there is no such format, the name has another ending, there is no such folder,
            or the model is none that can be written so, or is that of a run that diverged.
        OSError: the file cannot be written.
    """
    if to not in SUFFIXES:
        raise InputError(
            f"--to {quoted(to)}: choose {' | '.join(SUFFIXES)}; gradus.export writes for trackers "
            "too"
        )
    if out.suffix != SUFFIXES[to]:
        raise InputError(
            f"--out {quoted(str(out))}: --to {to} writes a file whose name ends in {SUFFIXES[to]}"
        )
    if not out.parent.is_dir():
        raise InputError(
            f"--out {quoted(str(out))}: there is no folder {quoted(str(out.parent))}; make it first"
        )
    return WRITERS[to](run, out)


def _csv(run: Run, out: Path) -> Written:
    tables = {"history": run.history, "evaluation": run.evaluation}
    paths = {name: out.with_name(f"{out.stem}-{name}.csv") for name in tables}
    for name, path in paths.items():
        with table_writer(path) as write:
            write(tables[name])
    return Written(tuple(paths.values()))


def _json(run: Run, out: Path) -> Written:
    of_loop = isinstance(run, RecordedRun)  # what it was stands in its summary
    content = {
        **({} if of_loop else {"spec": run.spec.model_dump(mode="json")}),
        "summary": run.summary,
        "history": run.history.to_pydict(),
        "evaluation": run.evaluation.to_pydict(),
    }
    write_whole(out, json.dumps(finite(content), indent=1, ensure_ascii=False).encode() + b"\n")
    return Written((out,))


def _onnx(run: Run, out: Path) -> Written:
    from gradus.runs.onnx_graph import exported

    found = exported(run, run.preparation if run.is_prepared else None)
    write_whole(out, found.model.SerializeToString())
    if not run.is_prepared:
        return Written((out,), (f"takes x as the model does: the run holds no {PREPARATION}",))
    return Written((out,), found.notes)


def _torch_export(run: Run, out: Path) -> Written:
    import torch

    from gradus.runs.prediction import model_of

    data, dtype = run.summary["data"], getattr(torch, run.spec.dtype)
    x = torch.zeros(2, *data["input_shape"], dtype=dtype)
    rows, model = torch.export.Dim("rows"), model_of(run)
    try:
        program = torch.export.export(model, (x,), dynamic_shapes=({0: rows},))
    except Exception as error:  # what an own module does is beyond what can be named
        raise InputError(
            f"--to torch-export: the model cannot be exported for any number of rows: "
            f"{quoted(error)}"
        ) from error
    program.example_inputs = None  # they are all that would be written as a pickle
    content = io.BytesIO()
    torch.export.save(program, content)
    write_whole(out, content.getvalue())
    what = f"takes x, [rows, {', '.join(map(str, data['input_shape']))}]"
    return Written((out,), (f"{what}, as prepared: the preparation is not in it",))


WRITERS: dict[str, Callable[[Run, Path], Written]] = {
    "csv": _csv,
    "json": _json,
    "onnx": _onnx,
    "torch-export": _torch_export,
}
SUFFIXES = {"csv": ".csv", "json": ".json", "onnx": ".onnx", "torch-export": ".pt2"}
