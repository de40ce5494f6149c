"""The page of a sweep: one file, small, exact, and safe from what names hold."""

import base64
import dataclasses
import html.parser
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from gradus.figures import page as page_module
from gradus.figures.page import page
from gradus.figures.thinning import curves_of
from tests.figures.sweeps import grid, lecture, made, sgd, thousand


class Reader(html.parser.HTMLParser):
    """Which tags are open where, and what is loaded from elsewhere."""

    VOID = ("meta", "input", "link", "img", "br", "hr")

    def __init__(self):
        super().__init__()
        self.open, self.loaded, self.scripts = [], [], []

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "action") and not value.startswith(
                ("#", "data:")
            ):
                self.loaded.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)


def read(content):
    reader = Reader()
    reader.feed(content)
    reader.close()
    assert reader.open == []
    return reader, json.loads(reader.scripts[0])


def unpacked(text):
    return np.frombuffer(base64.b64decode(text), "<f8")


def column(data, name):
    kept = data["values"][data["columns"].index(name)]
    if isinstance(kept, str):
        return unpacked(kept).tolist()
    if "which" not in kept:
        return kept["of"]
    return [kept["of"][i] for i in np.frombuffer(base64.b64decode(kept["which"]), "<i4")]


def test_every_value_of_every_run_stands_in_the_page(monkeypatch):
    monkeypatch.setattr(page_module, "pictures", lambda *given: [])
    sweep = grid()
    _, data = read(page(sweep))
    for name in sweep.runs.column_names:
        if (said := name.replace("_", " ")) in data["columns"]:
            shown = [None if value != value else value for value in column(data, said)]
            assert shown == sweep.runs[name].to_pylist()


def test_of_very_many_runs_some_have_a_curve_and_all_a_row(monkeypatch):
    monkeypatch.setattr(page_module, "POINTS", 640)
    monkeypatch.setattr(page_module, "pictures", lambda *given: [])
    sweep = thousand()
    _, data = read(page(sweep))
    assert data["runs"] == 1000 == len(data["starts"]) - 1
    rows = np.diff(data["starts"])
    assert (rows > 0).sum() == 640 // page_module.FEWEST
    assert rows[np.nanargmin(column(data, "test loss"))] > 0
    assert len(unpacked(data["loss"])) == len(unpacked(data["samples"])) == rows.sum()


def test_a_thousand_runs_of_500_points_are_one_small_file_with_their_extremes():
    sweep = thousand()
    content = page(sweep)
    assert len(content.encode()) <= 3_000_000
    reader, data = read(content)
    assert reader.loaded == []
    assert not re.search(r"url\((?!#)", content)
    assert data["runs"] == 1000
    curves, loss, starts = curves_of(sweep.history), unpacked(data["loss"]), data["starts"]
    for run, start, end in zip(column(data, "run"), starts, starts[1:], strict=False):
        true = curves[run][1]
        kept = loss[start:end]
        assert (kept.min(), kept.max()) == (true.min(), true.max())
        assert (kept[0], kept[-1]) == (true[0], true[-1])


@pytest.mark.parametrize("sweep", [lecture(), grid(), made("lost", [sgd(10.0, 0.5, 16)] * 2)])
def test_a_small_sweep_has_every_point(sweep):
    reader, data = read(page(sweep))
    assert reader.loaded == []
    assert (
        unpacked(data["loss"]).tolist()
        == np.concatenate(
            [curves_of(sweep.history)[run][1] for run in sweep.runs["run"].to_pylist()]
        ).tolist()
    )


def test_names_are_text_and_nothing_else():
    sweep = lecture()
    name = "</script><img src=x onerror=alert(1)>{{data}}"
    runs = sweep.runs.set_column(
        sweep.runs.schema.get_field_index("data"),
        "data",
        [[name] * (sweep.runs.num_rows - 1) + ["b"]],
    )
    content = page(dataclasses.replace(sweep, name=name, runs=runs))
    reader, data = read(content)
    assert reader.loaded == []
    assert "<img" not in content
    assert name in column(data, "data")


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium is installed")
def test_in_a_browser_every_run_has_a_row(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(page(grid()), encoding="utf-8")
    command = [
        *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
        *(f"--user-data-dir={tmp_path / 'profile'}", path.as_uri()),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "72 of 72 runs" in ended.stdout
    assert ended.stdout.count('<tr tabindex="0"') == 72
