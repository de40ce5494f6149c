"""A folder that comes from elsewhere is read; nothing that it names is run."""

import json
import sys

import pytest

import gradus
from gradus import InputError, RunSpec
from gradus.cli import main
from gradus.figures.landscape.path import path_of
from gradus.models.networks import build
from gradus.runs.record import open_run

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


COMMANDS = {
    "landscape": lambda tmp: ["landscape", received(tmp / "run"), "--grid", 3],
    "train --spec run.json": lambda tmp: ["train", "--spec", received(tmp / "run") / "run.json"],
    "train --spec spec.toml": lambda tmp: ["train", "--spec", spec_toml(tmp)],
    "train --resume": lambda tmp: ["train", "--resume", received(tmp / "run", "interrupted")],
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
    assert gradus_(*arguments, *NAMED) == 0
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
    assert gradus_("train", "--model", "quits:make") == 2
    assert "--model quits:make: failed in training" in capsys.readouterr().err
    sys.modules.pop("quits", None)
