"""The notebooks in examples run as they stand, and a run in one shows a single line of progress."""

import ast
import importlib.util
import json
from pathlib import Path

import pytest
import torch

import gradus
from gradus.notebook import cell_line

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def named(path):
    return path.stem


def cells_of(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def run(cell, names):
    """What a cell runs to: its last expression."""
    body = ast.parse(cell).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "cell", "exec"), names)
    return last and eval(compile(ast.Expression(last.value), "cell", "eval"), names)


def test_there_are_three():
    assert [path.stem for path in NOTEBOOKS] == ["lecture", "method", "table"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_they_are_kept_without_what_they_show(path):
    book = json.loads(path.read_text(encoding="utf-8"))
    assert book["nbformat"] == 4
    for cell in book["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
        assert cell["metadata"] == {}


@pytest.mark.parametrize("path", [p for p in NOTEBOOKS if p.stem != "table"], ids=named)
def test_they_run(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    names = {"__name__": "__main__"}
    pictured = 0
    with torch.random.fork_rng():
        for cell in cells_of(path):
            result = run(cell, names)
            if hasattr(result, "_repr_html_"):
                pictured += "<svg" in result._repr_html_()
    assert pictured >= 2


LONG = """
import gradus
from gradus.runs import call
call.LINE_EVERY = 0.0
gradus.train("digits", model="linear", epochs=40, lr=0.1, log_every=1)
"""


@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("nbclient", "ipykernel")),
    reason="nbclient and ipykernel are not installed here: make setup",
)
@pytest.mark.filterwarnings("ignore")
def test_one_runs_in_a_kernel_and_progress_is_one_line():
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.read(ROOT / "examples/table.ipynb", as_version=4)
    book.cells.append(nbformat.v4.new_code_cell(LONG))
    resources = {"metadata": {"path": ROOT / "examples"}}
    NotebookClient(book, timeout=120, resources=resources).execute()
    line, result = book.cells[-1].outputs
    assert line.data["text/plain"].startswith("epoch 40/40  loss ")
    assert "<svg" in result.data["text/html"]
    shown = [out for cell in book.cells for out in cell.get("outputs", ())]
    assert sum("<svg" in out.get("data", {}).get("text/html", "") for out in shown) == 3
    assert not [out for out in shown if out.output_type == "stream" and out.name == "stderr"]


def test_a_sweep_tells_its_cell_how_far_it_is(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr("gradus.sweep.progress.cell_line", lambda: lines.append)
    spec = gradus.SweepSpec(base={"model": "linear", "epochs": 1}, vary={"lr": [0.1, 0.01]})
    gradus.train_sweep(spec, out=tmp_path, workers=1)
    assert lines[-1].startswith("2 of 2 runs  ")


def test_there_is_no_line_outside_of_notebooks():
    assert cell_line() is None
