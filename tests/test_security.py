"""A folder that comes from elsewhere is read; nothing that it names is run."""

import json
import os
import sys

import pytest

import gradus
from gradus import InputError, RunSpec
from gradus.cli import main
from gradus.figures.landscape.path import path_of
from gradus.models.networks import build
from gradus.runs.record import open_run
from gradus.sweep import SweepSpec, store
from gradus.sweep.search import RUNS

MODULE = """
from pathlib import Path
import torch
Path({marker!r}).touch()
def make(input_shape, outputs):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, outputs))
def other(input_shape, outputs):
    return make(input_shape, outputs)
"""


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """A file that appears as soon as the code of the record is imported."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "it ran"
    (tmp_path / "recv").mkdir()
    (tmp_path / "recv/evil.py").write_text(MODULE.format(marker=str(path)))
    yield path
    for name in ("recv.evil", "recv"):
        sys.modules.pop(name, None)


ONE = ["--workers", "1"]
NAMED = ["--model", "recv.evil:make"]
REFUSED = (
    "its model recv.evil:make is code: recv.evil would be imported and make called; if you know "
    "it say --model recv.evil:make, or --trust\n"
)


def received(folder, status="finished"):
    """The record of a run whose model is code, as somebody else has it."""
    spec = RunSpec(model="linear", epochs=1, lr=0.1, log_every=30)
    gradus.train(spec, out=folder)
    path = folder / "run.json"
    content = json.loads(path.read_text())
    content["spec"] |= {"model": "recv.evil:make"}
    content["status"] = status
    path.write_text(json.dumps(content))
    return folder


def gradus_(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code or 0


def spec_toml(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text("model = 'recv.evil:make'\nepochs = 1\nlr = 0.1\n")
    return path


SWEEP = """
search = "{search}"
{more}
[base]
model = "{model}"
epochs = 1
[vary]
lr = {lr}
"""


def sweep_toml(path, *, more="", model="recv.evil:make", search="grid", lr='"0.1,0.2"'):
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(SWEEP.format(search=search, more=more, model=model, lr=lr))
    return path


COMMANDS = {
    "landscape": lambda tmp: ["landscape", received(tmp / "run"), "--grid", 3],
    "doctor": lambda tmp: ["doctor", received(tmp / "run"), "--budget", "1s"],
    "train --spec run.json": lambda tmp: ["train", "--spec", received(tmp / "run") / "run.json"],
    "train --spec spec.toml": lambda tmp: ["train", "--spec", spec_toml(tmp)],
    "train --resume": lambda tmp: ["train", "--resume", received(tmp / "run", "interrupted")],
    "sweep --spec sweep.toml": lambda tmp: ["sweep", sweep_toml(tmp / "sweep.toml"), *ONE],
    "sweep --resume": lambda tmp: [
        "sweep",
        "--resume",
        sweep_toml(tmp / "s/sweep.toml").parent,
        *ONE,
    ],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_runs_the_code_of_a_record_unless_it_names_it_too(
    command, tmp_path, ran, capsys
):
    arguments = COMMANDS[command](tmp_path)
    capsys.readouterr()
    for wrong in ([], ["--model", "recv.evil:other"] * (command != "train --spec run.json")):
        if wrong and "--spec" in command:
            continue  # the command line's model replaces that of the file
        assert gradus_(*arguments, *wrong) == 2
        said = capsys.readouterr().err
        assert said.startswith("gradus: ")
        assert said.endswith(REFUSED)
        assert said.count("\n") == 1
        assert not ran.exists()
    well = (0, 4) if command == "doctor" else (0,)  # 4: it confirms something
    assert gradus_(*arguments, *NAMED) in well
    assert ran.exists()


@pytest.mark.parametrize("command", ["landscape", "train --spec spec.toml"])
def test_who_trusts_a_record_says_so(command, tmp_path, ran):
    assert gradus_(*COMMANDS[command](tmp_path), "--trust") == 0
    assert ran.exists()


def test_from_python_it_is_named_or_trusted_as_the_record_is_opened(tmp_path, ran):
    folder = received(tmp_path / "run")
    for run in (open_run(folder), open_run(folder, model="recv.evil:other")):
        assert run.history.num_rows > 1
        for use in (lambda run: run.model, path_of):
            with pytest.raises(InputError, match=r"recv\.evil would be imported and make called"):
                use(run)
    with pytest.raises(InputError, match=r"recv\.evil would be imported"):
        RunSpec.read_file(folder / "run.json", {})
    assert not ran.exists()
    assert RunSpec.read_file(folder / "run.json", {"model": "linear"}).model == "linear"
    assert RunSpec.read_file(folder / "run.json", {}, trust=True).model == "recv.evil:make"
    for given in ({"model": "recv.evil:make"}, {"trust": True}):
        assert open_run(folder, **given).model[1].out_features == 10
        assert ran.exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sys:exit", "sys is a module of Python's standard library, not one of yours"),
        ("builtins:breakpoint", "builtins is a module of Python's standard library"),
        ("os.path:join", "os is a module of Python's standard library"),
        ("ends:at_import", "the factory failed: SystemExit: 3"),
        ("ends_at_import:make", "ends_at_import could not be imported: SystemExit: 0"),
        ("ends:silent", "the factory failed: SystemExit: no message"),
        ("ends:long", "the factory failed: ValueError: " + 198 * "x" + "..\n"),
        ("torch:zeros", "the factory failed: "),
        (":make", "could not be imported: ValueError: Empty module name"),
        ("ends:", "ends has no function ''"),
        ("./ends.py:make", "./ends.py:make: names a file; name its module, as --model ends:make"),
        ("nets/ends:make", "nets/ends:make: names a file; name its module, as --model nets.ends:"),
    ],
)
def test_what_is_no_function_of_the_users_giving_a_module_is_one_line(
    name, said, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ends_at_import.py").write_text("import sys\nsys.exit(0)\n")
    (tmp_path / "ends.py").write_text(
        "import sys\n"
        "def at_import():\n    sys.exit(3)\n"
        "def silent():\n    sys.exit()\n"
        "def long():\n    raise ValueError('x' * 10_000)\n"
    )
    assert gradus_("train", "--model", name) == 2
    written = capsys.readouterr().err
    assert said in written
    assert written.count("\n") == 1
    assert not list(tmp_path.glob("runs/*"))
    with pytest.raises(InputError):
        build(name, (1, 8, 8), 10)
    sys.modules.pop("ends", None)


def test_a_model_that_ends_the_process_in_training_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quits.py").write_text(
        "import sys, torch\n"
        "class Quits(torch.nn.Linear):\n"
        "    def forward(self, x):\n"
        "        return sys.exit(0) if self.training else super().forward(x.flatten(1))\n"
        "def make():\n    return Quits(64, 10)\n"
    )
    for command in (["train"], ["sweep", "--lr", "1,0.1", *ONE]):
        assert gradus_(*command, "--model", "quits:make") == 2
        assert "--model quits:make: failed in training: SystemExit: 0" in capsys.readouterr().err
    sys.modules.pop("quits", None)


def test_a_sweep_may_vary_models_that_the_call_names(tmp_path, ran):
    """Workers are sent what was allowed, and nothing else."""
    spec = SweepSpec(base={"epochs": 1, "lr": 0.1}, vary={"model": "recv.evil:make,linear"})
    sweep = gradus.train_sweep(spec, name="own", out=tmp_path, workers=1)
    assert sweep.runs.num_rows == 2
    more = SweepSpec(base={"epochs": 1, "lr": 0.1}, vary={"model": "recv.evil:make,linear,mlp"})
    (sweep.folder / "sweep.toml").write_text(gradus.sweep.to_toml(more))
    with pytest.raises(InputError, match=r"recv\.evil would be imported and make called"):
        gradus.resume_sweep(sweep.folder, models=["recv.evil:other"])
    resumed = gradus.resume_sweep(sweep.folder, models=["recv.evil:make"], workers=1)
    assert resumed.runs.num_rows == 3


@pytest.fixture
def with_storage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    elsewhere = tmp_path / "elsewhere.db"
    more = f'trials = 1\nstorage = "sqlite:///{elsewhere}"'
    drawn = {"model": "linear", "search": "optuna", "lr": '"log:0.1:1"'}
    return sweep_toml(tmp_path / "s/sweep.toml", more=more, **drawn), elsewhere


@pytest.mark.parametrize("of", ["--resume", "file"])
def test_a_storage_outside_the_folder_is_used_only_where_the_command_names_it(
    with_storage, of, capsys
):
    toml, elsewhere = with_storage
    asked = ["sweep", *(("--resume", toml.parent) if of == "--resume" else (toml,)), *ONE]
    url = f"sqlite:///{elsewhere}"
    for wrong in ([], ["--storage", f"{url}.other"] if of == "--resume" else []):
        assert gradus_(*asked, *wrong) == 2
        said = capsys.readouterr().err
        assert f"its storage {url} is outside its folder" in said
        assert said.count("\n") == 1
        assert not elsewhere.exists()
    if of == "--resume":
        assert gradus_(*asked, "--storage", url) == 0
        assert elsewhere.exists()


def test_a_study_that_names_another_model_than_its_sweep_is_not_trained(tmp_path, ran):
    import optuna

    toml = sweep_toml(
        tmp_path / "s/sweep.toml", more="trials = 2", model="linear", search="optuna",
        lr='"log:0.1:1"',
    )  # fmt: skip
    gradus.resume_sweep(toml.parent, workers=1)
    url = f"sqlite:///{toml.parent / 'optuna.db'}"
    study = optuna.load_study(study_name="s", storage=url)
    trial = study.ask()
    trial.set_user_attr(RUNS, [RunSpec(model="recv.evil:make").model_dump_json(exclude_none=True)])
    toml.write_text(toml.read_text().replace("trials = 2", "trials = 4"))
    with pytest.raises(InputError, match=r"the study of s: its model recv\.evil:make is code"):
        gradus.resume_sweep(toml.parent, workers=1)
    trial.set_user_attr(RUNS, ["[" * 1000])
    with pytest.raises(InputError, match=r"the study of s: a trial of it is damaged"):
        gradus.resume_sweep(toml.parent, workers=1)
    assert not ran.exists()


LINKS = {
    "lock": "a lock",
    "history": "a folder",
    "evaluation": "a folder",
    "checkpoints": "a folder",
    "checkpoints/0123456789abcdef": "a folder",
    "optuna.db": "a file",
    "optuna.db-journal": "a file",
}


@pytest.mark.parametrize("name", LINKS)
def test_a_sweep_writes_nothing_through_links_in_its_folder(tmp_path, name):
    toml = sweep_toml(tmp_path / "s/sweep.toml", model="linear")
    victim = tmp_path / "victim"
    if LINKS[name] == "a folder":
        victim.mkdir()
        (victim / "1.json").write_text("mine")
    else:
        victim.write_text("mine")
    before = sorted((path.name, path.read_text()) for path in tmp_path.glob("victim/*"))
    (toml.parent / name).parent.mkdir(exist_ok=True)
    (toml.parent / name).symlink_to(victim)
    with pytest.raises(InputError, match=r"is a link|is no lock that Gradus has made"):
        gradus.resume_sweep(toml.parent, workers=1)
    assert sorted((path.name, path.read_text()) for path in tmp_path.glob("victim/*")) == before
    assert victim.is_dir() or victim.read_text() == "mine"


@pytest.mark.parametrize("name", ["run.json", "history.parquet", "loss.svg", "model.safetensors"])
def test_a_run_writes_nothing_through_links_in_its_folder(tmp_path, name):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / name).symlink_to(victim)
    spec = RunSpec(model="linear", epochs=1)
    gradus.train(spec, out=folder, overwrite=True)
    assert victim.read_text() == "mine"
    assert not (folder / name).is_symlink()
    assert open_run(folder).model is not None


def test_a_pipe_in_the_place_of_a_store_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "runs.parquet")
    with pytest.raises(InputError, match=r"runs\.parquet: is damaged"):
        store.read_runs(tmp_path)


@pytest.mark.parametrize("name", ["../../x", "a/b", "/tmp/x", ".", "..", "", "a\0b"])
def test_the_name_of_a_sweep_does_not_leave_the_folder_of_sweeps(tmp_path, name):
    spec = SweepSpec(vary={"lr": "1,0.1"})
    with pytest.raises(InputError, match=r"^name.*: is not the name of a folder; give its place"):
        gradus.train_sweep(spec, name=name, out=tmp_path / "a/b/sweeps")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["compare"], ["report"]])
def test_pictures_and_reports_are_written_through_no_link(tmp_path, capsys, command):
    spec = SweepSpec(base={"model": "linear", "epochs": 1}, vary={"lr": "1,0.1"})
    folder = gradus.train_sweep(spec, name="s", out=tmp_path, workers=1).folder
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / "figures").symlink_to(elsewhere)
    (folder / "report.html").symlink_to(elsewhere / "report.html")
    assert gradus_(*command, folder) == {"compare": 2, "report": 0}[command[0]]
    if command == ["compare"]:
        assert "figures: is a link, through which nothing is written" in capsys.readouterr().err
    assert list(elsewhere.iterdir()) == []
