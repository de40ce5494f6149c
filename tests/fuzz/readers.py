"""What Gradus reads: for each kind of file whole examples, and what opens them."""

import contextlib
import datetime
import gzip
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import scipy.sparse
import torch
from PIL import Image

import gradus
from gradus.data.loading import load
from gradus.data.reading import read_source, stream
from gradus.engine import snapshot
from gradus.figures.run.page import page
from gradus.recording import points, recorder
from gradus.runs.record import Run, open_run
from gradus.runs.spec import RunSpec
from gradus.sweep import SweepSpec, open_sweep, read_toml, to_toml, train_sweep
from gradus.sweep.compare import ranking
from gradus.sweep.importance import importance
from gradus.sweep.store import Store
from gradus.tuning.tune import asked_in

RANDOM = np.random.default_rng(0)
ROWS = 30
TABLE = {
    "a": RANDOM.normal(size=ROWS).round(3).tolist(),
    "b": RANDOM.integers(0, 9, ROWS).tolist(),
    "colour": RANDOM.choice(["red", "green", "light blue"], ROWS).tolist(),
    "when": RANDOM.choice([True, False], ROWS).tolist(),
    "y": RANDOM.choice(["no", "yes"], ROWS).tolist(),
}
TARGETS, MISSING = ["y", "b", "a"], [None, "mean", "drop"]
TINY = {"data": "own.csv", "target": "y", "model": "linear", "log_every": 1}


@dataclass(frozen=True)
class Reader:
    """A kind of file or folder.

    Attributes:
        make: writes a whole one into an empty folder.
        read: opens it, in the ways that are drawn; the working directory is the folder.
        share: of the mutations.
    """

    make: Callable[[Path], None]
    read: Callable[[Path, np.random.Generator], None]
    share: int


def _table(folder):
    lines = [",".join(TABLE)] + [
        ",".join(map(str, row)) for row in zip(*TABLE.values(), strict=True)
    ]
    (folder / "own.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _parquet(folder):
    table = pa.table(TABLE).append_column("z", pa.array(TABLE["colour"]).dictionary_encode())
    pq.write_table(table, folder / "own.parquet", row_group_size=ROWS // 2)


def _arrow(folder):
    table = pa.table(TABLE).append_column("z", pa.array(TABLE["colour"]).dictionary_encode())
    pyarrow.feather.write_feather(table, folder / "own.arrow", compression="zstd", chunksize=20)


def _packed_text(folder):
    """Packed, in UTF-16, with a comment, semicolons, quoted lines and a column without values."""
    rows = zip(*TABLE.values(), strict=True)
    lines = [f'{a}; "{b}" ;"{c} or\n""none""";{d};{y};' for a, b, c, d, y in rows]
    text = "\n".join(["# of 2024", ";".join(TABLE) + ";", *lines]).replace(".", ",")
    (folder / "own.csv.gz").write_bytes(gzip.compress(text.encode("utf-16")))


def _json_lines(folder):
    rows = zip(*TABLE.values(), strict=True)
    lines = [json.dumps(dict(zip(TABLE, row, strict=True)) | {"l": [row[1]]}) for row in rows]
    (folder / "own.jsonl").write_text("\n".join(lines))


def _xlsx(folder):
    workbook = openpyxl.Workbook()
    workbook.active.append([*TABLE, "at"])
    for row in zip(*TABLE.values(), strict=True):
        workbook.active.append([*row, datetime.datetime(2024, 2, 29, 10, 30)])
    workbook.create_sheet("other")
    workbook.save(folder / "own.xlsx")


def _npz(folder):
    x, y = RANDOM.normal(size=(ROWS, 3)), np.arange(ROWS) % 2
    np.savez(folder / "own.npz", x_train=x, y_train=y, x_test=x[:5], y_test=y[:5])


def _npy(folder):
    np.save(folder / "own.npy", RANDOM.normal(size=(ROWS, 3)).astype(np.float32))
    np.save(folder / "y.npy", np.array(["no", "yes"] * (ROWS // 2)))


def _svmlight(folder):
    rows = [
        f"{y:+d} {a}:{b} {a + 3}:1e-1"
        for y, a, b in zip([1, -1] * 15, TABLE["b"], TABLE["a"], strict=True)
    ]
    (folder / "own.svm.gz").write_bytes(gzip.compress("\n".join([*rows, "# end"]).encode()))


def _matrix(folder):
    matrix = scipy.sparse.random_array((ROWS, 5), density=0.4, rng=0, format="csr")
    scipy.sparse.save_npz(folder / "own.npz", matrix)
    np.save(folder / "y.npy", np.array(["no", "yes"] * (ROWS // 2)))


def _tune(folder):
    written = {"asked": {"data": "digits", "epochs": "3"}, "found": {"lr": 0.1}}
    (folder / "tune.json").write_text(json.dumps(written))


def _read_tune(folder, draw):
    asked_in(Path())


def _npz_images(folder):
    x = RANDOM.integers(0, 256, (ROWS, 4, 4), dtype=np.uint8)
    np.savez_compressed(folder / "own.npz", x=x, y=np.array(["no", "yes"] * (ROWS // 2)))


def _idx(folder):
    for part, size in (("train", ROWS), ("t10k", 10)):
        images = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4) for n in (size, 4, 4))
        images += RANDOM.integers(0, 256, (size, 4, 4), dtype=np.uint8).tobytes()
        labels = bytes([0, 0, 8, 1]) + size.to_bytes(4) + bytes(i % 3 for i in range(size))
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)


def _images(folder):
    """Of every mode, in three formats; and for training, validation and test."""
    kinds = ("L", "RGB", "RGBA", "P", "1", "I;16", "LA")
    for at in range(ROWS):
        kind = kinds[at % 7]
        values = RANDOM.integers(0, 256, (5, 4, 3), dtype=np.uint8)
        image = Image.fromarray(values).convert("L" if kind == "I;16" else kind)
        if kind == "I;16":
            image = Image.fromarray(values[:, :, 0].astype(np.uint16) * 257)
        part, name = ("train", "train", "val", "test")[at % 4], ("ant", "bee")[at % 3 == 0]
        suffix = "jpg" if kind == "RGB" else "png" if at % 2 else "tif"
        (folder / part / name).mkdir(parents=True, exist_ok=True)
        image.save(folder / part / name / f"{at}.{suffix}")


def _read_images(folder, draw):
    split = load(".", image_size=[None, (5, 4), (3, 7)][draw.integers(3)])
    assert "train" in split.description
    split.train.batch(slice(0, 2))


def _load(name, **options):
    def read(folder, draw):
        given = {key: draw.choice(values) for key, values in options.items()}
        loss = draw.choice([None, None, "cross-entropy", "mse", "kl-div"])
        split = load(folder / name, loss=loss, standardize=bool(draw.integers(2)), **given)
        assert "train" in split.description
        split.train.batch(slice(0, 2))
        if draw.random() < 0.1:
            spec = RunSpec(data=str(folder / name), target=given.get("target"), loss=loss,
                           missing=given.get("missing"), model="linear", epochs=1)  # fmt: skip
            gradus.train(spec)

    return read


def _table_in(name):
    """Every column of a table, in pieces or whole, as what it is and as text."""

    def read(folder, draw):
        path = folder / name
        for source in stream(path) if draw.integers(2) else [read_source(path)]:
            assert source.arrow.num_rows
            assert source.place(0)
            assert source.place(source.arrow.num_rows - 1)
            for column in source.names:
                with contextlib.suppress(pa.ArrowException):
                    assert len(source.text(column)) == source.arrow.num_rows

    return read


def _run_toml(folder):
    (folder / "run.toml").write_text(
        'data = "digits"\nmethod = "adam"\nlr = 0.01\nbetas = [0.9, 0.99]\nhidden = [8, 8]\n'
        'schedule = "step"\ndecay_every = 100\nepochs = 3\nseed = 7\nstandardize = true\n'
        'penalty = "l1"\nstrength = 0.001\nproximal = true\n'
    )


def _read_run_toml(folder, draw):
    spec = RunSpec.read_file(folder / "run.toml", {"epochs": "2"} if draw.integers(2) else {})
    assert spec.title
    spec.build_method(steps=10)
    if spec.loss is not None:
        spec.build_loss()


def _sweep_toml(folder):
    vary = {"lr": "log:1e-3:1:4", "momentum": "0,0.5,0.9", "hidden": "8;16,16"}
    spec = SweepSpec(base={"data": "digits", "epochs": 2, "batch_size": 32}, vary=vary, seeds=2)
    (folder / "sweep.toml").write_text(to_toml(spec))


def _read_sweep_toml(folder, draw):
    assert to_toml(read_toml(folder / "sweep.toml"))


def _run(folder):
    gradus.train(RunSpec(model="linear", epochs=2, log_every=20), out=folder)
    for picture in ("loss.png", "loss.svg"):
        (folder / picture).unlink()


def _table_run(folder):
    """A run on a table with every kind of column; what it predicts from is damaged alone."""
    days = [datetime.date(2024, 1, 1) + datetime.timedelta(days=i) for i in range(ROWS)]
    pq.write_table(pa.table(TABLE | {"day": days}), folder / "own.parquet")
    spec = RunSpec(data=str(folder / "own.parquet"), target="y", hidden=(2,), models=2, epochs=1,
                   threshold="f1")  # fmt: skip
    gradus.train(spec, out=folder / "run")
    for name in ("run.json", "preparation.json", "model.safetensors"):
        shutil.move(folder / "run" / name, folder / name)
    for name in ("history.parquet", "evaluation.parquet"):
        shutil.move(folder / "run" / name, folder / name)
    shutil.rmtree(folder / "run")
    (folder / "own.parquet").unlink()


def _array_run(folder):
    """A run on arrays; what it predicts from is damaged alone."""
    x = RANDOM.normal(size=(ROWS, 3))
    np.savez(folder / "own.npz", x=np.where(x > 1, np.nan, x), y=x[:, 0])
    spec = RunSpec(data=str(folder / "own.npz"), missing="mean", standardize=True,
                   standardize_target=True, hidden=(2,), epochs=1)  # fmt: skip
    gradus.train(spec, out=folder)
    for path in folder.glob("*.[ns][pv][zg]"):
        path.unlink()


def _predict_arrays(folder, draw):
    x = RANDOM.normal(size=(ROWS, 3))
    run = open_run(folder)
    assert run.predict(x).num_rows == ROWS
    assert run.evaluate(x, x[:, 0])


def _predict(folder, draw):
    run = open_run(folder)
    days = [datetime.date(2025, 6, 1)] * ROWS
    assert run.predict(TABLE | {"day": days}).num_rows == ROWS
    if draw.integers(2):
        assert run.evaluate(TABLE | {"day": days})


def _read_run(folder, draw):
    run = open_run(folder)
    assert run.status
    assert repr(run)
    assert run.curve.window
    if (folder / "test.parquet").exists():  # records of earlier versions have none
        assert run.test_predictions.table().num_rows
    assert sum(parameter.numel() for parameter in run.model.parameters()) > 0
    if draw.random() < 0.03:
        assert page(run)


def _loop(folder):
    """The record of a loop of one's own that has ended, and of one that was broken off."""
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(recorder, "write_curve", lambda folder, run: None)
        with gradus.record(folder / "ended", optimizer, model, config={"width": 3}) as run:
            for epoch in range(1, 4):
                for _ in range(5):
                    optimizer.step(lambda: model(torch.ones(3)).sum())
                    run.log(1 / epoch, batch=2)
                run.evaluate(epoch, test_loss=0.5, bleu=float("nan"))
                run.keep()
            shutil.copytree(folder / "ended", folder / "broken")
    (folder / "ended/points/3.safetensors").unlink()


def _read_loop(folder, draw):
    for name in ("ended", "broken"):
        run = open_run(folder / name)
        assert repr(run)
        assert run.curve.window
        if draw.random() < 0.03:
            assert page(run)
    kept = points.read(folder / "broken/points", lambda told: None)
    if kept is not None:
        model = torch.nn.Linear(3, 1)
        optimizer = torch.optim.Adam(model.parameters())
        points.give_back({"model": model, "optimizer": optimizer}, *kept[1:])


class EndsError(Exception):
    """The end of a process, in the middle of a run."""


def _broken_off(folder):
    _table(folder)

    def progress(job, split):
        def step(progress):
            if progress.epoch == 3:
                raise EndsError

        return step

    spec = RunSpec(**TINY, method="adam", epochs=4)
    with pytest.MonkeyPatch.context() as patched, contextlib.suppress(EndsError):
        patched.setattr(snapshot, "CHECKPOINT_SECONDS_EPOCH", 0.0)
        patched.setattr(snapshot, "CHECKPOINT_SHARE", float("inf"))
        gradus.train(spec, out=folder / "run", progress=progress)
    assert len(list((folder / "run" / "checkpoint").glob("*.safetensors"))) == 1


def _resume(folder, draw):
    """The record is not written: drawing the loss curve takes longer than all else."""
    kept = Run.save
    Run.save = lambda self, folder: Path(folder)
    try:
        assert gradus.resume(folder / "run").status
    finally:
        Run.save = kept


def _sweep(folder):
    _table(folder)
    base = {**TINY, "epochs": 2}
    train_sweep(SweepSpec(base=base, vary={"lr": "1,0.1,0.01"}), name="two", out=folder, workers=1)


def _read_sweep(folder, draw):
    sweep = open_sweep(folder / "two")
    assert sweep.name
    if sweep.runs.num_rows:
        assert ranking(sweep, "test_loss").num_rows
        importance(sweep, "test_loss")
        assert sweep.history.num_rows >= 0
        assert sweep.evaluation.num_rows >= 0


def _earlier(name):
    """A record as it was before there was a validation part."""

    def make(folder):
        kept = Path(__file__).parents[1] / "records" / "before_validation" / name
        shutil.copytree(kept, folder, dirs_exist_ok=True)

    return make


def _read_earlier_sweep(folder, draw):
    sweep = open_sweep(folder)
    assert sweep.evaluation.num_rows >= 0
    assert not sweep.runs.num_rows or ranking(sweep, "test_loss").num_rows


def _open_store(folder, draw):
    store = Store(folder / "two")
    assert len(store.finished()) <= 3
    _read_sweep(folder, draw)


READERS = {
    "csv": Reader(_table, _load("own.csv", target=TARGETS, missing=MISSING), 15),
    "parquet": Reader(_parquet, _load("own.parquet", target=TARGETS, missing=MISSING), 15),
    "arrow": Reader(_arrow, _table_in("own.arrow"), 6),
    "packed-text": Reader(_packed_text, _table_in("own.csv.gz"), 6),
    "json-lines": Reader(_json_lines, _table_in("own.jsonl"), 6),
    "xlsx": Reader(_xlsx, _table_in("own.xlsx"), 6),
    "npz": Reader(_npz, _load("own.npz", missing=MISSING), 12),
    "npy": Reader(_npy, _load("own.npy", target=["y.npy"], missing=MISSING), 8),
    "svmlight": Reader(_svmlight, _load("own.svm.gz", missing=MISSING), 8),
    "matrix": Reader(_matrix, _load("own.npz", target=["y.npy"], missing=MISSING), 6),
    "npz-images": Reader(_npz_images, _load("own.npz"), 6),
    "images": Reader(_images, _read_images, 12),
    "idx": Reader(_idx, _load("."), 8),
    "run-toml": Reader(_run_toml, _read_run_toml, 10),
    "sweep-toml": Reader(_sweep_toml, _read_sweep_toml, 8),
    "run": Reader(_run, _read_run, 12),
    "table-run": Reader(_table_run, _predict, 8),
    "loop": Reader(_loop, _read_loop, 8),
    "array-run": Reader(_array_run, _predict_arrays, 4),
    "checkpoint": Reader(_broken_off, _resume, 8),
    "sweep": Reader(_sweep, _read_sweep, 5),
    "store": Reader(_sweep, _open_store, 3),
    "tune": Reader(_tune, _read_tune, 2),
    "earlier-run": Reader(_earlier("run"), _read_run, 6),
    "earlier-sweep": Reader(_earlier("sweep"), _read_earlier_sweep, 3),
}  # fmt: skip
"""By name."""
