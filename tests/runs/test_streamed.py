"""Runs on rows that are streamed: engines agree, they go on exactly, and their record is whole."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import gradus
from gradus.cli import main
from gradus.data.streaming import Cache
from gradus.engine import snapshot
from gradus.errors import InputError
from gradus.runs.resume import resume
from gradus.runs.spec import RunSpec
from gradus.runs.train import train

N = 1500


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    random = np.random.default_rng(0)
    x = random.normal(size=(N, 3))
    score = x @ [1.0, -2.0, 0.5] + random.logistic(size=N)
    columns = {"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": np.where(score > 0, "yes", "no")}
    path = tmp_path_factory.mktemp("streamed") / "table.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def spec(table, **options):
    usual = {
        "data": str(table), "target": "y", "stream": True, "shuffle_buffer": 200, "model": "linear",
        "epochs": 3, "batch_size": 17, "dtype": "float64", "log_every": 1, "lr": 0.05, "pieces": 0,
    }  # fmt: skip
    return RunSpec(**{**usual, **options})


def trained(table, folder=None, **options):
    return train(spec(table, **options), out=folder, cache=Cache(table.parent / "cache"))


def parameters(run):
    return torch.cat([p.detach().flatten() for p in run.model.parameters()])


def test_engines_agree_on_every_step(table):
    native, eager = (trained(table, engine=engine) for engine in ("native", "eager"))
    assert native.history["samples"] == eager.history["samples"]
    assert (native.summary["engine"], eager.summary["engine"]) == ("native", "eager")
    np.testing.assert_allclose(native.history["loss"], eager.history["loss"], rtol=1e-10)
    np.testing.assert_allclose(parameters(native), parameters(eager), rtol=1e-10)
    assert native.summary["final"]["test_accuracy"] > 0.75


@pytest.mark.parametrize("engine", ["native", "eager"])
@pytest.mark.parametrize("at", [0, 20, 66])
def test_a_run_goes_on_in_the_middle_of_an_epoch_to_the_bit(
    table, tmp_path, monkeypatch, engine, at
):
    whole = trained(table, engine=engine)
    monkeypatch.setattr(snapshot, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(snapshot, "CHECKPOINT_SHARE", 1e9)
    folder, cache = tmp_path / "run", Cache(table.parent / "cache")

    def interrupted(job, split):
        def observe(progress):
            if progress.step > at and progress.evaluation is None:
                raise KeyboardInterrupt

        return observe

    run = train(spec(table, engine=engine), out=folder, cache=cache, observe=interrupted)
    assert run.status == "interrupted"
    run = resume(folder, cache=cache)
    assert run.status == "finished"
    assert run.history.equals(whole.history)
    assert torch.equal(parameters(run), parameters(whole))


def test_a_table_that_changed_is_refused_and_the_checkpoint_stays(table, tmp_path):
    own = tmp_path / "own.parquet"
    own.write_bytes(table.read_bytes())
    folder, cache = tmp_path / "run", Cache(tmp_path / "cache")

    def interrupted(job, split):
        def observe(progress):
            if progress.evaluation is not None:
                raise KeyboardInterrupt

        return observe

    train(spec(own), out=folder, cache=cache, observe=interrupted)
    kept = sorted(path.name for path in (folder / "checkpoint").iterdir())
    content = own.read_bytes()
    for change, said in (
        (lambda: own.unlink(), "no such file"),
        (lambda: own.write_bytes(content[:-100]), "cannot be read"),
        (lambda: pq.write_table(pq.read_table(table).slice(1), own), "was begun on other data"),
    ):
        change()
        with pytest.raises(InputError, match=said):
            resume(folder, cache=cache)
        assert sorted(path.name for path in (folder / "checkpoint").iterdir()) == kept
    own.write_bytes(content)
    assert resume(folder, cache=cache).status == "finished"


def test_the_record_opens_and_predicts_as_any_other(table, tmp_path):
    run = trained(table, tmp_path / "run")
    opened = gradus.open_run(tmp_path / "run")
    assert opened.spec == run.spec
    assert opened.spec.stream is True
    assert opened.predict(table).num_rows == N
    held_out = opened.evaluate(table)["accuracy"].value if hasattr(opened, "evaluate") else 1
    assert held_out > 0.75


def test_files_are_evaluated_a_piece_at_a_time_as_at_once(table, tmp_path, monkeypatch):
    run = trained(table, tmp_path / "run")
    rows = pq.read_table(table)
    targets = np.where(np.arange(N) < 250, None, rows["y"].to_numpy(zero_copy_only=False))
    rows = rows.set_column(3, "y", pa.array(targets))  # two pieces and a half without a target
    (tmp_path / "parts").mkdir()
    for at in range(3):
        pq.write_table(rows.slice(500 * at, 500), tmp_path / "parts" / f"{at}.parquet")
    at_once = run.evaluate(rows)
    monkeypatch.setattr("gradus.data.reading.parquet.rows_of_piece", lambda columns: 100)
    found = run.evaluate(tmp_path / "parts")
    for name, figure in at_once.items():
        assert found[name].value == pytest.approx(figure.value, nan_ok=True), name
    pq.write_table(rows.slice(0, 250), tmp_path / "none.parquet")
    with pytest.raises(InputError, match=r"none\.parquet: no row has a target"):
        run.evaluate(tmp_path / "none.parquet")


def test_figures_of_many_rows_are_of_those_drawn(table, tmp_path, monkeypatch, capsys):
    trained(table, tmp_path / "run")
    monkeypatch.setattr("gradus.runs.drawn.MOST", 100)
    monkeypatch.setattr("gradus.data.reading.parquet.rows_of_piece", lambda columns: 100)
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(tmp_path / "run"), str(table)])
    said = capsys.readouterr()
    assert ended.value.code in (0, None)
    assert "figures are of 100 rows, drawn from 1,500" in said.err
    assert "(100)" in said.out


def test_a_run_begins_with_the_parameters_and_the_preparation_of_another(table, tmp_path):
    first = trained(table, tmp_path / "run")
    other = train(
        first.spec.model_copy(update={"epochs": 1}),
        start=gradus.open_run(tmp_path / "run"),
        cache=Cache(tmp_path / "cache"),
    )
    assert other.status == "finished"


def test_what_is_left_to_the_data_follows_from_all_of_its_rows(table):
    run = train(
        RunSpec(data=str(table), target="y", stream=True, hidden=(4,), epochs=1),
        cache=Cache(table.parent / "cache"),
    )
    assert (run.spec.models, run.spec.batch_size, run.spec.stream) == (1, 32, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sampling": "replacement"}, r"--sampling replacement: needs all rows at once"),
        ({"method": "newton", "sampling": "full", "batch_size": None}, r"of newton needs all rows"),
        ({"models": 3}, r"--models 3: each holds other rows"),
        ({"batch_size": 5000}, r"--batch-size 5000: larger than the training data"),
        ({"data": "digits", "target": None}, r"--stream True: does not apply to digits"),
        ({"stream": None}, r"--shuffle-buffer 200: does not apply"),
    ],
)
def test_what_needs_all_rows_at_once_is_refused(table, options, said):
    with pytest.raises(InputError, match=said):
        trained(table, **options)


def test_a_table_that_takes_much_of_the_memory_is_streamed_by_itself(table, monkeypatch):
    monkeypatch.setattr("gradus.data.streaming.table_files.memory", lambda: 100_000)
    said = []
    options = {"stream": None, "shuffle_buffer": None}
    cache = Cache(table.parent / "cache")
    run = train(spec(table, **options), cache=cache, tell=said.append)
    assert run.spec.stream is True
    assert "rows are streamed" in said[0]
    run = train(spec(table, **options, group="a"), cache=cache)
    assert run.spec.stream is None
