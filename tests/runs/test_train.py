"""A run from its spec to its record, and back."""

import json
import math
import shutil
import signal
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

import gradus
from gradus import InputError, RunSpec, kernels, open_run
from gradus.data import load
from gradus.engine import stepping
from gradus.runs import interrupt, saving
from gradus.runs.files import write_whole
from gradus.runs.train import train

QUICK = {"model": "linear", "epochs": 2, "log_every": 10, "lr": 0.1}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(RunSpec(**QUICK), out=tmp_path_factory.mktemp("run"))


def test_the_record_is_as_the_design_says(run):
    folder = run.folder
    assert {path.name for path in folder.iterdir()} == {
        "run.json",
        "preparation.json",
        "test.parquet",
        "state",
        "history.parquet",
        "evaluation.parquet",
        "model.safetensors",
        "loss.png",
        "loss.svg",
    }
    history = pq.read_table(folder / "history.parquet")
    assert [(f.name, str(f.type)) for f in history.schema] == [
        ("step", "int64"),
        ("samples", "int64"),
        ("epoch", "int32"),
        ("loss", "double"),
        ("lr", "double"),
        ("work", "int64"),
    ]
    evaluation = pq.read_table(folder / "evaluation.parquet")
    assert [(f.name, str(f.type)) for f in evaluation.schema] == [
        ("epoch", "int32"),
        ("samples", "int64"),
        ("running_train_loss", "double"),
        ("train_loss", "double"),
        ("validation_loss", "double"),
        ("validation_accuracy", "double"),
        ("test_loss", "double"),
        ("test_accuracy", "double"),
        ("work", "int64"),
    ]
    # 1,437 digits at batch 16 are 90 batches an epoch, the last of 13.
    assert history["step"].to_pylist() == [*range(0, 90, 10), *range(90, 180, 10)]
    assert history["samples"].to_pylist()[:2] == [16, 16 * 11]
    assert history["samples"].to_pylist()[9] == 1437 + 16
    assert history["epoch"].to_pylist() == [1] * 9 + [2] * 9
    assert evaluation["epoch"].to_pylist() == [1, 2]
    assert evaluation["samples"].to_pylist() == [1437, 2874]
    content = json.loads((folder / "run.json").read_text())
    assert content["spec"] == RunSpec(**QUICK, loss="cross-entropy").model_dump(mode="json")
    assert content["status"] == "finished"
    absent = kernels.absence()
    assert content["engine"] == ("eager" if absent else "native")
    assert content["not_native"] == absent
    assert content["final"]["test_loss"] == evaluation["test_loss"][-1].as_py()
    assert content["versions"]["gradus"] == gradus.__version__


def test_the_test_loss_and_accuracy_are_those_of_the_model_on_disk(run):
    test = load("digits").test
    parameters = load_file(run.folder / "model.safetensors")
    x, y = test.batch()
    output = x.flatten(1) @ parameters["1.weight"].T + parameters["1.bias"]
    final = run.summary["final"]
    loss = torch.nn.functional.cross_entropy(output, y).item()
    assert final["test_loss"] == pytest.approx(loss, rel=1e-5)
    assert final["test_accuracy"] == (output.argmax(1) == y).double().mean().item()
    assert final["test_accuracy"] > 0.8


def test_a_record_opens_as_the_run_that_wrote_it(run):
    opened = open_run(run.folder)
    assert opened.spec == run.spec
    assert opened.history.equals(run.history)
    assert opened.evaluation.equals(run.evaluation)
    assert opened.summary["final"] == run.summary["final"]
    x, _ = load("digits").test.batch()
    assert torch.equal(opened.model(x), run.model(x))
    assert opened.plot().axes[0].get_title() == "Optimizer-SGD lr-0.1 mt-0.5 bs-16"


def test_a_run_in_double_precision_opens_in_double_precision(tmp_path):
    run = train(RunSpec(**QUICK, dtype="float64"), out=tmp_path)
    opened = open_run(tmp_path).model
    for ours, theirs in zip(opened.parameters(), run.model.parameters(), strict=True):
        assert ours.dtype == torch.float64
        assert torch.equal(ours, theirs)


def test_the_same_spec_gives_the_same_record_and_leaves_the_random_state(run):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    again = train(RunSpec(**QUICK))
    assert torch.equal(torch.get_rng_state(), before)
    assert again.history.equals(run.history)
    assert again.evaluation.equals(run.evaluation)
    assert again.folder is None
    other = train(RunSpec(**QUICK, seed=1))
    assert not other.history.equals(run.history)


def test_a_folder_that_holds_a_run_is_not_overwritten_by_accident(run, tmp_path):
    with pytest.raises(InputError, match="holds a run already; give another or add --overwrite"):
        train(RunSpec(**QUICK), out=run.folder)
    train(RunSpec(**QUICK), out=tmp_path)
    changed = train(RunSpec(**QUICK, seed=1), out=tmp_path, overwrite=True)
    assert open_run(tmp_path).history.equals(changed.history)


def test_folders_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        train(RunSpec(**QUICK), out=tmp_path / "file")
    with pytest.raises(InputError, match="cannot be written"):
        train(RunSpec(**QUICK), out=tmp_path / "file" / "below")


def test_a_diverged_run_keeps_its_record_and_says_where(tmp_path):
    spec = RunSpec(model="linear", method="sgd", lr=1e30, momentum=0.0, weight_decay=1e10)
    run = train(spec, out=tmp_path)
    assert run.status == "diverged"
    found = json.loads((tmp_path / "run.json").read_text())["divergence"]
    assert found["step"] >= 1
    assert found["samples"] == found["step"] * 16  # within the first epoch
    assert found["last_finite_loss"] is not None
    assert found["lr"] == 1e30
    assert "--lr" in found["hint"]
    assert run.history.num_rows == 1
    assert np.isfinite(run.history["loss"].to_numpy()).all()
    opened = open_run(tmp_path)
    assert opened.curve.diverged_at == found["samples"]
    assert opened.evaluation.num_rows == 0


@pytest.fixture
def every_step(monkeypatch):
    """Let the native engine report every step, as the eager engine does."""
    monkeypatch.setattr(stepping, "CALL_SECONDS", 0.0)


@pytest.mark.usefixtures("every_step")
def test_an_interrupted_run_keeps_its_record(tmp_path):
    def interrupt_at_step_25(job, split):
        def report(progress):
            if progress.step == 25:
                raise KeyboardInterrupt

        return report

    run = train(RunSpec(**QUICK), out=tmp_path, progress=interrupt_at_step_25)
    assert run.status == "interrupted"
    opened = open_run(tmp_path)
    assert opened.status == "interrupted"
    assert opened.history["step"].to_pylist() == [0, 10, 20]
    whole = train(RunSpec(**QUICK))
    assert opened.history.equals(whole.history.slice(0, 3))


def test_full_sampling_is_gradient_descent_and_lowers_the_risk_at_every_step():
    spec = RunSpec(
        model="linear", method="gradient-descent", sampling="full", lr=0.5, epochs=20, log_every=1
    )
    run = train(spec)
    losses = run.history["loss"].to_numpy()
    assert run.history["samples"].to_pylist() == [1437 * t for t in range(1, 21)]
    assert (np.diff(losses) < 0).all()


@pytest.mark.parametrize("loss", ["nll", "kl-div"])
def test_losses_on_log_probabilities_train_as_cross_entropy_does(loss):
    reference = train(RunSpec(**QUICK, dtype="float64"))
    run = train(RunSpec(**QUICK, dtype="float64", loss=loss))
    np.testing.assert_allclose(
        run.history["loss"].to_numpy(), reference.history["loss"].to_numpy(), rtol=1e-10
    )


def test_a_penalty_shrinks_the_parameters_and_is_not_part_of_the_recorded_loss():
    plain = train(RunSpec(**QUICK))
    for penalty in ("l1", "l2", "squared-l2", "elastic-net"):
        run = train(RunSpec(**QUICK, penalty=penalty, strength=0.1))
        norm = {r: sum(p.abs().sum().item() for p in r.model.parameters()) for r in (run, plain)}
        assert norm[run] < norm[plain]
        # The first row is before any step: the same model, the same batch, the same loss.
        assert run.history["loss"][0] == plain.history["loss"][0]


def test_regression_on_a_table_of_ones_own_reaches_least_squares(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    y = x @ [1.0, -2.0, 0.5] + 3 + 0.1 * rng.normal(size=400)
    rows = "\n".join(",".join(map(repr, map(float, row))) for row in np.column_stack([x, y]))
    (tmp_path / "points.csv").write_text("a,b,c,y\n" + rows + "\n")
    spec = RunSpec(
        data=str(tmp_path / "points.csv"),
        target="y",
        model="linear",
        lr=0.05,
        epochs=30,
        dtype="float64",
        method="gradient-descent",
        standardize=False,
        standardize_target=False,
        patience=30,
    )
    run = train(spec)
    assert run.spec.loss == "mse"
    assert run.summary["final"]["test_accuracy"] is None
    layer = run.model[1]
    # Noise of 0.1 over 320 rows, and what constant steps leave of it.
    assert layer.weight.detach().numpy().ravel() == pytest.approx([1.0, -2.0, 0.5], abs=0.05)
    assert layer.bias.item() == pytest.approx(3.0, abs=0.05)


def test_a_regression_that_diverges_is_told_of_the_scales_that_make_it_steep(tmp_path):
    rows = "\n".join(f"{1000 * i},{2000 * i}.5" for i in range(1, 60))
    (tmp_path / "steep.csv").write_text("x,y\n" + rows + "\n")
    run = train(
        RunSpec(
            data=str(tmp_path / "steep.csv"),
            target="y",
            method="sgd",
            lr=0.1,
            model="linear",
            standardize=False,
            standardize_target=False,
        )
    )
    assert run.status == "diverged"
    hint = run.summary["divergence"]["hint"]
    assert "the target has a deviation of" in hint
    assert "try --standardize" in hint


@pytest.fixture
def own_models(tmp_path, monkeypatch):
    (tmp_path / "own_models.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "def convolution(outputs):\n"
        "    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(),\n"
        "                         nn.Flatten(), nn.Dropout(0.2), nn.Linear(144, outputs))\n"
        "def tied():\n"
        "    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.Linear(64, 64),\n"
        "                          nn.Linear(64, 10))\n"
        "    model[2].weight = model[1].weight\n"
        "    return model\n"
        "def five():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 5))\n"
        "def unfit():\n"
        "    return nn.Linear(7, 10)\n"
        "def normalised(outputs):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, outputs), nn.BatchNorm1d(outputs))\n"
        "def grouped(outputs):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, outputs), nn.GroupNorm(1, outputs))\n"
        "def all_frozen():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).requires_grad_(False)\n"
        "def double():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).double()\n"
        "def frozen():\n"
        "    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Linear(32, 10))\n"
        "    model[1].requires_grad_(False)\n"
        "    return model\n"
    )
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("own_models")
@pytest.mark.parametrize("name", ["convolution", "tied"])
def test_a_model_of_ones_own_trains_repeats_and_reopens(name, tmp_path):
    spec = RunSpec(model=f"own_models:{name}", lr=0.1, epochs=2, log_every=10)
    run, again = train(spec, out=tmp_path / "a"), train(spec)
    assert run.history.equals(again.history)
    assert run.summary["final"]["test_accuracy"] > 0.7
    opened = open_run(tmp_path / "a", trust=True).model
    x, _ = load("digits").test.batch()
    assert torch.equal(opened(x), run.model(x))


@pytest.mark.usefixtures("own_models")
def test_frozen_parameters_stay_where_they_are():
    spec = RunSpec(model="own_models:frozen", lr=0.1, epochs=1, weight_decay=0.1)
    torch.manual_seed(0)
    start = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 32))[1].weight
    assert torch.equal(train(spec).model[1].weight, start)


@pytest.mark.usefixtures("own_models")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("five", "gives (2, 5) for a batch of shape (2, 1, 8, 8), but must give (2, 10)"),
        ("unfit", "fails on a batch of shape (2, 1, 8, 8): mat1 and mat2 shapes"),
    ],
)
def test_a_model_that_does_not_fit_the_data(name, message):
    with pytest.raises(InputError) as caught:
        train(RunSpec(model=f"own_models:{name}"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


with_kernels = pytest.mark.skipif(kernels.core() is None, reason=str(kernels.absence()))


@with_kernels
@pytest.mark.usefixtures("own_models")
@pytest.mark.parametrize(
    ("options", "obstacle"),
    [
        ({"model": "own_models:convolution"}, "layer 0 (Conv2d)"),
        ({"model": "own_models:grouped"}, "layer 2 (GroupNorm)"),
        ({"model": "own_models:tied"}, "layers that share their parameters"),
        ({"model": "linear", "method": "newton-cg"}, "the method NewtonCG"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_native_engine_does_not_run_is_named_and_left_to_the_eager_one(
    options, obstacle, tmp_path
):
    why = f"the native engine does not run {obstacle}"
    with pytest.raises(InputError) as caught:
        train(RunSpec(**options, engine="native"), out=tmp_path / "native")
    assert str(caught.value) == f"--engine native: {why}; use --engine eager, or auto"
    assert not (tmp_path / "native").exists()
    told = []
    train(RunSpec(**options, epochs=1), out=tmp_path / "auto", tell=told.append)
    content = json.loads((tmp_path / "auto" / "run.json").read_text())
    assert (content["engine"], content["not_native"]) == ("eager", why)
    costs = f"{why}; the eager engine takes the steps"
    if (times := content["times_native"]) is not None:
        costs += f", each about {times:g} times as long as that of a dense network of this size"
    assert told == [costs]
    assert (times is None) == ("method" in options)


@with_kernels
def test_engines_leave_the_same_record_but_for_rounding():
    runs = {
        engine: train(RunSpec(**QUICK, dtype="float64", engine=engine))
        for engine in ("eager", "native", "auto")
    }
    assert runs["auto"].history.equals(runs["native"].history)
    told = {name: (run.summary["engine"], run.summary["not_native"]) for name, run in runs.items()}
    assert told == {name: (name, None) for name in ("eager", "native")} | {"auto": ("native", None)}
    for table in ("history", "evaluation"):
        ours, theirs = (getattr(runs[engine], table) for engine in ("native", "eager"))
        assert ours.schema == theirs.schema
        for name in ours.column_names:
            np.testing.assert_allclose(ours[name].to_numpy(), theirs[name].to_numpy(), rtol=1e-10)


@with_kernels
def test_kernels_that_cannot_be_had_are_refused_before_the_run(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADUS_KERNELS", "neon")
    with pytest.raises(InputError, match=r"^GRADUS_KERNELS=neon: "):
        train(RunSpec(**QUICK), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bad_input_leaves_nothing_behind(tmp_path):
    for options in ({"data": "nosuch"}, {"batch_size": 5000}, {"model": "nosuch"}):
        with pytest.raises(InputError):
            train(RunSpec(**options), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", ["absent", "text", "table"])
def test_records_that_cannot_be_opened(run, tmp_path, damage):
    if damage != "absent":
        shutil.copytree(run.folder, tmp_path, dirs_exist_ok=True)
        name = {"text": "run.json", "table": "history.parquet"}[damage]
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:40])
    with pytest.raises(InputError) as caught:
        open_run(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_appear_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_whole(path, b"first")

    def fail(descriptor):
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="no space"):
        write_whole(path, b"second")
    assert path.read_bytes() == b"first"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_run_json_is_json_even_where_a_loss_is_infinite(tmp_path):
    spec = RunSpec(model="linear", lr=1e30, momentum=0.0, weight_decay=1e10)
    train(spec, out=tmp_path)

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    content = json.loads((tmp_path / "run.json").read_text(), parse_constant=refuse)
    assert not math.isfinite(float(content["divergence"]["loss"]))


@pytest.mark.usefixtures("every_step")
def test_a_second_ctrl_c_does_not_cost_the_record(tmp_path, monkeypatch):
    """The first interrupts the steps; the second comes while the record is being written."""
    write = saving.write_whole

    def impatient(path, content):
        signal.raise_signal(signal.SIGINT)
        write(path, content)

    def interrupt_at_step_25(job, split):
        def report(progress):
            if progress.step == 25:
                signal.raise_signal(signal.SIGINT)

        return report

    monkeypatch.setattr(saving, "write_whole", impatient)
    run = train(RunSpec(**QUICK), out=tmp_path, progress=interrupt_at_step_25)
    assert run.status == "interrupted"
    assert open_run(tmp_path).history["step"].to_pylist() == [0, 10, 20]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("every_step")
def test_ctrl_c_that_nobody_heard_can_be_pressed_again(monkeypatch):
    """Python drops what is raised in a finalizer."""
    monkeypatch.setattr(interrupt, "AGAIN_SECONDS", 0.0)

    class Finalized:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    def press(job, split):
        def report(progress):
            if progress.step == 15:
                Finalized()
            if progress.step == 25:
                signal.raise_signal(signal.SIGINT)

        return report

    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: dropped)
    run = train(RunSpec(**QUICK), progress=press)
    assert run.status == "interrupted"
    assert run.history["step"].to_pylist() == [0, 10, 20]


def test_a_record_is_never_a_mixture_of_two_runs(tmp_path, monkeypatch):
    train(RunSpec(**QUICK), out=tmp_path)

    def fail(model, path):
        raise OSError("no space left")

    monkeypatch.setattr(saving, "save_model", fail)
    with pytest.raises(OSError, match="no space"):
        train(RunSpec(**QUICK, seed=1), out=tmp_path, overwrite=True)
    with pytest.raises(InputError, match="holds no record"):
        open_run(tmp_path)


def test_files_of_others_are_not_overwritten(tmp_path):
    (tmp_path / "loss.png").write_text("precious")
    with pytest.raises(InputError, match=r"holds loss\.png already"):
        train(RunSpec(**QUICK), out=tmp_path)
    assert (tmp_path / "loss.png").read_text() == "precious"


@pytest.mark.parametrize("sampling", ["shuffle", "replacement", "full"])
def test_a_late_divergence_counts_its_samples_exactly(sampling):
    spec = RunSpec(model="linear", sampling=sampling, lr=1e37, warmup=250, epochs=300)
    run = train(spec)
    assert run.status == "diverged"
    found = run.summary["divergence"]
    assert found["step"] >= 90 or sampling == "full"  # after an epoch, whose last batch is short
    assert found["samples"] == run.summary["samples"]
    assert "momentum of 0.5 is stable below 3: try --lr 0." in found["hint"]


@pytest.mark.usefixtures("own_models")
def test_a_model_that_fails_in_training_is_told_in_one_line():
    # 1,437 examples at batch 4 leave a last batch of one, which batch normalisation refuses.
    with pytest.raises(InputError, match="failed in training: ValueError: Expected more"):
        train(RunSpec(model="own_models:normalised", batch_size=4))


@pytest.mark.usefixtures("own_models")
@pytest.mark.parametrize("kind", [RuntimeError, OSError, InputError])
def test_what_an_observer_raises_is_its_own(kind):
    def observe(job, split):
        def raising(progress):
            raise kind("mine")

        return raising

    with pytest.raises(kind, match=r"^mine$"):
        train(RunSpec(model="own_models:normalised", batch_size=100), observe=observe)


@pytest.mark.usefixtures("own_models")
def test_a_model_with_nothing_to_train():
    with pytest.raises(InputError, match="nothing to train"):
        train(RunSpec(model="own_models:all_frozen"))


def test_a_model_in_double_precision(own_models):
    run = train(RunSpec(**(QUICK | {"model": "own_models:double"}), dtype="float64"))
    assert run.status == "finished"


def test_opening_a_record_leaves_the_random_state(run):
    before = torch.get_rng_state()
    assert open_run(run.folder).model is not None
    assert torch.equal(torch.get_rng_state(), before)
    assert repr(run).startswith("<Run Optimizer-SGD lr-0.1 mt-0.5 bs-16 on digits: finished, test")


def test_a_spec_is_a_run_spec():
    with pytest.raises(TypeError, match="spec must be a RunSpec"):
        train({"data": "digits"})


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 3.0},
        {"lr": 10.0},
        {"lr": 5.0, "momentum": 0.9},
        {"method": "adam", "lr": 1.0},
        {"method": "adam", "lr": 10.0},
        {"lr": 1e-7},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_a_run_that_learned_nothing_has_failed(options):
    run = train(RunSpec(hidden=(16,), epochs=2, **options))
    assert run.status == "failed"
    found, constant = run.summary["failure"], run.summary["constant"]
    least = min(found["constant_train_loss"], found["train_loss_at_the_beginning"])
    assert found["train_loss"] == run.summary["final"]["train_loss"] >= least
    assert found["constant_train_loss"] == constant["train_loss"] == pytest.approx(2.3026, abs=1e-3)
    assert "try --lr" in found["hint"]
    assert run.curve.constant == constant["train_loss"]


@pytest.mark.parametrize("penalty", [{}, {"penalty": "l1", "strength": 1e-3, "proximal": True}])
def test_a_run_that_climbs_has_no_line_to_beat(penalty):
    run = train(RunSpec(model="linear", lr=0.1, maximize=True, epochs=1, momentum=0.0, **penalty))
    assert run.status == "finished"
    assert run.summary["failure"] is None


def test_an_observer_sees_every_row_and_ends_the_run():
    seen = []

    def observe(job, split):
        def see(progress):
            seen.append(progress)
            return "stop" if progress.row is not None and progress.step == 31 else None

        return see

    run = train(RunSpec(**QUICK), observe=observe)
    assert run.status == "finished"
    assert run.summary["ended_by_observer"]
    assert run.summary["steps"] == 31
    assert [each.row.step for each in seen if each.row] == run.history["step"].to_pylist()
    assert run.evaluation["samples"].to_pylist() == [31 * 16]


@pytest.mark.parametrize("against", ["samples", "work", "seconds"])
def test_a_curve_is_drawn_against_what_is_asked(against):
    spec = RunSpec(model="linear", method="lbfgs", epochs=3)
    run = train(spec)
    curve = run.curve_against(against)
    columns = {name: run.history[name].to_numpy() for name in ("samples", "work")}
    seconds = run.summary["timings"]["train_seconds"]
    expected = columns | {"seconds": columns["work"] / run.summary["work"] * seconds}
    assert curve.x == pytest.approx(expected[against])
    assert curve.test_x[-1] == pytest.approx(
        {"samples": run.summary["samples"], "work": run.summary["work"], "seconds": seconds}[
            against
        ]
    )
    label = run.plot(against).axes[0].get_xlabel()
    assert label.startswith({"samples": "number of samples"}.get(against, against))
