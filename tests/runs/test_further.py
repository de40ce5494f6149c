"""A run that has ended goes on with more epochs as if it had been given them from the start."""

import hashlib

import pytest
import torch

import gradus
from gradus import InputError, RunSpec, kernels
from gradus.cli import main
from gradus.runs.resume import resume
from gradus.runs.train import train

SPEC = RunSpec(model="linear", epochs=2, method="adam", log_every=40, batch_size=64)
HELD = SPEC.model_copy(update={"validation_fraction": 0.2})
SEVERAL = HELD.model_copy(update={"models": 3, "epochs": 1, "patience": 2, "lr": 0.5})
NATIVE = pytest.mark.skipif(not kernels.core(), reason=str(kernels.absence()))


def longer(spec, epochs):
    return spec.model_copy(update={"epochs": epochs})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def same(one, other):
    """All that is recorded, but when, how long it took, and what it goes on from."""
    left_out = ("timings", "started", "origin")
    for run in (one, other):
        assert run.model.training is False
    assert {k: v for k, v in one.summary.items() if k not in left_out} == {
        k: v for k, v in other.summary.items() if k not in left_out
    }
    assert one.spec == other.spec
    assert one.history == other.history
    assert one.evaluation == other.evaluation
    parameters = other.model.state_dict()
    assert all(
        torch.equal(value, parameters[name]) for name, value in one.model.state_dict().items()
    )


@pytest.mark.parametrize("engine", ["eager", pytest.param("native", marks=NATIVE)])
@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        HELD,
        RunSpec(model="linear", epochs=2, method="nesterov", log_every=9, lr=0.01, batch_size=99),
        SEVERAL,
    ],
    ids=["adam", "best of validation", "nesterov", "several nets"],
)
def test_it_is_the_run_that_had_as_many_epochs_from_the_start(tmp_path, spec, engine):
    spec = spec.model_copy(update={"engine": engine})
    train(spec, out=tmp_path / "run")
    said = []
    resume(tmp_path / "run", epochs=3, tell=said.append)
    resume(tmp_path / "run", epochs=5, tell=said.append)
    assert said == []
    found, true = (
        gradus.open_run(tmp_path / "run"),
        train(longer(spec, 5), out=tmp_path / "5"),
    )
    same(found, gradus.open_run(tmp_path / "5"))
    assert true.summary["origin"] == []
    assert names(tmp_path / "run") == names(tmp_path / "5")
    assert [(each["how"], each["run"], each["epochs"]) for each in found.summary["origin"]] == [
        ("resume", "run", spec.epochs),
        ("resume", "run", 3),
    ]


def test_the_origin_says_of_which_parameters(tmp_path):
    train(SPEC, out=tmp_path / "run")
    before = hashlib.sha256((tmp_path / "run/model.safetensors").read_bytes()).hexdigest()
    (origin,) = resume(tmp_path / "run", epochs=3).summary["origin"]
    assert origin["parameters"] == before
    assert origin["steps"] == 2 * -(-len(gradus.data.load("digits").train) // 64)


def test_a_schedule_that_depends_on_the_epochs_is_stretched_and_that_is_said(tmp_path):
    spec = RunSpec(**{**SPEC.model_dump(exclude_none=True), "schedule": "cosine", "lr": 0.01})
    run = train(spec, out=tmp_path / "run")
    steps = run.summary["steps"]
    said = []
    run = resume(tmp_path / "run", epochs=4, tell=said.append)
    assert said == [
        "the schedule cosine now spans 4 epochs: the learning rate is 0.005 from here on, "
        "where it had come to 0"
    ]
    rates = run.history.filter(run.history["epoch"].to_numpy() == 3)["lr"].to_pylist()
    assert run.history["step"].to_pylist()[-1] < 2 * steps
    assert rates[0] == pytest.approx(0.005)


def test_a_run_that_ended_by_its_patience_is_given_more_of_it(tmp_path):
    spec = RunSpec(
        model="linear", epochs=30, method="adam", lr=1.0, batch_size=64, patience=1,
        validation_fraction=0.2, log_every=99,
    )  # fmt: skip
    run = train(spec, out=tmp_path / "run")
    last = run.evaluation["epoch"][-1].as_py()
    assert last < 29
    said = f"patience is spent: epoch {last}, its last, is 1 after .* --epochs 40 --patience 2$"
    with pytest.raises(InputError, match=said):
        resume(tmp_path / "run", epochs=40)
    with pytest.raises(InputError, match="patience is spent"):
        resume(tmp_path / "run", patience=1)
    found = resume(tmp_path / "run", patience=3)
    same(found, train(spec.model_copy(update={"patience": 3})))


def test_without_a_state_the_message_says_what_leads_to_the_same(tmp_path):
    train(SPEC, out=tmp_path / "run", keep_state=False)
    assert "state" not in names(tmp_path / "run")
    with pytest.raises(InputError, match=r"keeps no state .* --spec .*run\.json --epochs 3"):
        resume(tmp_path / "run", epochs=3)


def test_the_state_of_a_record_that_is_replaced_is_not_left_behind(tmp_path):
    train(SPEC, out=tmp_path / "run")
    train(longer(SPEC, 1), out=tmp_path / "run", overwrite=True, keep_state=False)
    with pytest.raises(InputError, match="keeps no state"):
        resume(tmp_path / "run", epochs=3)


def damaged(folder):
    (path,) = (folder / "state").glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-9])


def of_another(folder):
    train(HELD, out=folder.parent / "other")
    for path in (folder.parent / "other" / "state").iterdir():
        path.replace(folder / "state" / path.name)


@pytest.mark.parametrize(
    ("spec", "change", "epochs", "message"),
    [
        (SPEC, None, 2, "--epochs 2: .* has 2 epochs already"),
        (SPEC, None, 0, "--epochs 0: "),
        (SPEC, damaged, 3, r"state: is damaged; train the run again with --spec .* --epochs 3"),
        (SPEC, of_another, 3, "was begun on other data"),
        (
            RunSpec(model="linear", epochs=2, method="sgd", lr=1e38, log_every=99),
            None, 3, "this run ended as diverged, and does not go on",
        ),
    ],
)  # fmt: skip
def test_what_does_not_go_on_is_one_line(tmp_path, spec, change, epochs, message):
    train(spec, out=tmp_path / "run")
    if change is not None:
        change(tmp_path / "run")
    before = (tmp_path / "run" / "run.json").read_bytes()
    with pytest.raises(InputError, match=message):
        resume(tmp_path / "run", epochs=epochs)
    assert (tmp_path / "run" / "run.json").read_bytes() == before
    assert "checkpoint" not in names(tmp_path / "run")


def broken_off(folder, epochs):
    """Go on, and be interrupted in the third epoch."""

    def progress(job, split):
        def report(progress):
            if progress.epoch == 3:
                raise KeyboardInterrupt

        return report

    return resume(folder, epochs=epochs, progress=progress)


@pytest.mark.parametrize("snapshot", ["kept", "lost"])
def test_going_on_may_be_broken_off_too(tmp_path, snapshot):
    folder = tmp_path / "run"
    train(SPEC, out=folder)
    assert broken_off(folder, 4).status == "interrupted"
    with pytest.raises(InputError, match=r"broken off; go on with it .* without --epochs"):
        resume(folder, epochs=9)
    if snapshot == "lost":
        for path in (folder / "checkpoint").glob("[0-9]*"):
            path.unlink()
    begins = []

    def progress(job, split):
        return lambda progress: begins.append(progress.since)

    found = resume(folder, epochs=4, progress=progress)
    assert set(begins) == {2 * -(-len(gradus.data.load("digits").train) // 64)}
    same(found, train(longer(SPEC, 4)))
    assert [each["epochs"] for each in found.summary["origin"]] == [2]


def test_each_net_of_several_goes_on_where_it_stood(tmp_path):
    train(SEVERAL, out=tmp_path / "run")
    began = []

    def progress(job, split):
        return lambda progress: began.append((progress.epoch, progress.step))

    run = resume(tmp_path / "run", epochs=3, progress=progress)
    assert {epoch for epoch, _ in began} <= {2, 3}
    true = train(longer(SEVERAL, 3))
    assert run.summary["steps"] == true.summary["steps"]
    assert run.summary["kept_epochs"] == true.summary["kept_epochs"]


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def called(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["train", *map(str, arguments)])
        return ended.value.code, *capsys.readouterr()

    return called


def test_the_command(call):
    options = ["--model", "linear", "--method", "adam", "--lr", "0.01", "--batch-size", "64"]
    assert call("digits", *options, "--epochs", "1", "--out", "x", "--quiet") == (0, "x\n", "")
    code, out, _ = call("--resume", "x", "--epochs", "2")
    assert code == 0
    assert "goes on        after epoch 1 of x" in out.splitlines()
    assert gradus.open_run("x").evaluation["epoch"].to_pylist() == [1, 2]
    assert call("--resume", "x", "--epochs", "3", "--no-state", "--quiet") == (0, "x\n", "")
    assert gradus.open_run("x").spec.epochs == 3
    for wrong, message in [
        (["--epochs", "4"], "keeps no state"),
        (["--epochs", "many"], "--epochs many: must be a whole number"),
        (["--epochs", "4", "--lr", "1"], "leave out --lr"),
    ]:
        code, out, err = call("--resume", "x", *wrong)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert message in err
