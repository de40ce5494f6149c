"""The command line as a user meets it."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

import gradus
from gradus import kernels
from gradus.cli import cli, main
from gradus.runs.parts import PARTS
from gradus.runs.spec import RunSpec, defaults_of

QUICK = ["--model", "linear", "--epochs", "2", "--log-every", "10", "--lr", "0.1"]


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    """Run the command line in an empty folder: its exit code, and the lines it wrote."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        written = capsys.readouterr()
        return ended.value.code or 0, written.out, written.err

    return run


# One thread: tests run side by side, and threads that wait for each other are slow when crowded.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100", "TERM": "xterm-256color"}


def python(*arguments):
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)


# One process, which is asked for ever more: nothing is imported before it is needed.
IMPORTS = """
import sys
from gradus.cli import main

def call(*arguments):
    try:
        main(arguments)
    except SystemExit as ended:
        assert not ended.code

def spared(*names):
    imported = set(names) & set(sys.modules)
    assert not imported, imported

unused = ("sklearn", "scipy", "pandas", "optuna", "requests", "pooch", "uniplot", "rich.progress",
          "matplotlib.pyplot", "torch._dynamo", "pyarrow.compute", "pyarrow.dataset",
          "gradus.engine.stacked", "gradus.risk.curvature", "gradus.figures", "gradus.sweep")
call("--help")
spared(*unused, "torch", "pydantic", "numpy", "rich", "pyarrow", "matplotlib")
call("train", "--help")
spared(*unused, "torch", "rich", "pyarrow", "matplotlib")

import gradus.runs.train as training
execute = training.choose.execute

def watched(*arguments):
    spared(*unused, "matplotlib")
    return execute(*arguments)

training.choose.execute = watched
call("train", "--epochs", "1", "--quiet")
spared(*unused)
assert "matplotlib" in sys.modules
"""


def test_help_and_a_plain_run_import_what_they_need_when_they_need_it(tmp_path):
    shown = subprocess.run(
        [sys.executable, "-c", IMPORTS], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    assert "gradus train fashion-mnist" in shown.stdout
    for name in gradus.RunSpec.model_fields:
        assert name in ("data", "auto") or f"--{name.replace('_', '-')} " in shown.stdout
    assert "Examples:" in shown.stdout


def test_version_and_bare_command(call):
    assert call("--version") == (0, f"gradus, version {gradus.__version__}\n", "")
    code, out, _ = call()
    assert code == 0
    assert out.startswith("Usage: gradus")


def test_training_tells_what_happens_and_where_the_record_is(call):
    code, out, err = call("train", *QUICK, "--out", "here")
    assert code == 0
    assert "1,437 train + 360 test" in err
    assert "epoch 2/2" in err
    assert "balanced accuracy" in out
    assert "here/loss.png" in out
    assert "training loss against number of samples" in out
    assert json.loads(Path("here/run.json").read_text())["status"] == "finished"


def test_quiet_prints_the_path_of_the_record_alone(call):
    assert call("train", *QUICK, "--quiet") == (0, "runs/digits-sgd-1\n", "")
    assert call("train", *QUICK, "--quiet") == (0, "runs/digits-sgd-2\n", "")


def test_options_mean_the_same_on_the_command_line_in_toml_and_in_run_json(call):
    options = ["--method", "adam", "--betas", "0.8,0.99", "--amsgrad", "--hidden", "20,10"]
    options += ["--epochs", "1", "--lr", "0.01", "--standardize", "--seed", "3"]
    assert call("train", *options, "--quiet", "--out", "a")[0] == 0
    toml = 'method = "adam"\nbetas = [0.8, 0.99]\namsgrad = true\nhidden = [20, 10]\n'
    toml += "epochs = 1\nlr = 0.01\nstandardize = true\nseed = 3\n"
    assert tomllib.loads(toml)
    Path("run.toml").write_text(toml)
    assert call("train", "--spec", "run.toml", "--quiet", "--out", "b")[0] == 0
    assert call("train", "--spec", "a/run.json", "--quiet", "--out", "c")[0] == 0
    runs = [gradus.open_run(name) for name in "abc"]
    assert runs[0].spec == runs[1].spec == runs[2].spec
    assert runs[0].history.equals(runs[1].history)
    assert runs[0].history.equals(runs[2].history)


def test_divergence_is_exit_code_3_and_says_what_to_try(call):
    code, _, err = call("train", "--lr", "1e30", "--weight-decay", "1e10", "--out", "d")
    assert code == 3
    said, asked = err.strip().splitlines()[-2:]
    assert said.startswith("gradus: diverged at step")
    assert "learning rate 1e+30" in said
    assert "try --lr" in said
    assert asked == "gradus: gradus doctor d says why"
    assert Path("d/history.parquet").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digitz"], "digitz: unknown data; did you mean digits?"),
        (["--model", "nosuch"], "--model nosuch: unknown"),
        (
            ["--loss", "hinge"],
            "--loss hinge: choose cross-entropy | nll | mse | l1 | huber",
        ),
        (["--method", "sdg"], "--method sdg: choose"),
        (["--momentm", "0.5"], "--momentm: no such option; did you mean --momentum"),
        (["--method", "adam", "--momentum", "0.9"], "--momentum is not an option of --method adam"),
        (["--lr", "-1"], "--lr must be a finite number >= 0, not -1"),
        (["--lr", "nan"], "--lr nan: must be a finite number"),
        (["--batch-size", "0"], "--batch-size 0: must be greater than or equal to 1"),
        (["--batch-size", "1438"], "--batch-size 1438: larger than the training data"),
        (["--loss", "mse"], "choose --loss cross-entropy | nll | kl-div"),
        (["table.csv"], "say which column to predict by --target; the columns are a, b"),
        (["table.csv", "--target", "c"], "--target c: no such column in table.csv"),
        (["table.csv", "--target", "a"], "column 'b', line 4: 'x' is not a number"),
        (["fashion-mnist", "--data-dir", "absent"], "--data-dir absent: no such folder"),
        (["--out", "table.csv"], "--out table.csv: cannot be written"),
        (["--spec", "absent.toml"], "absent.toml: no such file"),
        (["digits", "more"], "unexpected extra argument (more)"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(call, arguments, message):
    Path("table.csv").write_text("a,b\n1.5,2\n2,3\n3,x\n4,5\n5,6\n6,7\n")
    code, out, err = call("train", *arguments)
    assert code == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("gradus: ")
    assert message in err
    assert not Path("runs").exists()


def test_a_repeated_list_option_adds_to_the_list(call):
    Path("table.csv").write_text("a,b,c,y\n" + "".join(f"{i},{i},{i},{i}.5\n" for i in range(40)))
    options = ["--target", "y", "--drop", "a", "--drop", "b", "--model", "linear", "--quiet"]
    code, _, _ = call("train", "table.csv", *options, "--standardize", "--lr", "0.01", "--out", "o")
    assert code == 0
    run = gradus.open_run("o")
    assert run.spec.drop == ("a", "b")
    assert run.summary["data"]["features"][0] == "c"
    assert {column["column"] for column in run.summary["data"]["columns"]} == {"y", "c"}


def test_paths_are_printed_as_they_are(call):
    code, out, _ = call("train", *QUICK, "--out", "o[bold]x[/y]")
    assert code == 0
    assert "o[bold]x[/y]/loss.png" in out
    assert Path("o[bold]x[/y]/loss.png").exists()


def test_a_folder_that_holds_a_run_needs_overwrite(call):
    assert call("train", *QUICK, "--quiet", "--out", "x")[0] == 0
    code, _, err = call("train", *QUICK, "--quiet", "--out", "x")
    assert (code, err) == (
        2,
        "gradus: --out x: holds a run already; give another or add --overwrite\n",
    )
    assert call("train", *QUICK, "--quiet", "--out", "x", "--overwrite")[0] == 0


def test_a_run_goes_on_with_resume_alone(call):
    assert call("train", *QUICK, "--quiet", "--out", "x")[0] == 0
    code, out, err = call("train", "--resume", "x")
    assert (code, out) == (0, "")
    assert err == "gradus: x: this run has ended already, as finished\n"
    # As if it had been broken off before its first checkpoint.
    content = json.loads(Path("x/run.json").read_text())
    Path("x/run.json").write_text(json.dumps({**content, "status": "interrupted"}))
    assert call("train", "--resume", "x", "--quiet") == (0, "x\n", "")
    assert gradus.open_run("x").status == "finished"
    assert not Path("x/checkpoint").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lr", "1"], "--resume x: goes on with the run as it was specified; leave out --lr"),
        (["digits"], "--resume x: goes on with the run as it was specified; leave out digits"),
        (["--overwrite"], "leave out --overwrite"),
        ([], "--resume x: no run to go on with: the folder does not exist"),
    ],
)
def test_what_resume_cannot_do_is_one_line(call, options, message):
    code, out, err = call("train", "--resume", "x", *options)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert message in err


def test_ctrl_c_keeps_the_record_and_is_exit_code_130(tmp_path):
    command = [sys.executable, "-m", "gradus", "train", "--epochs", "10000", "--out", "kept"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            for line in process.stderr:
                if line.startswith("epoch"):  # plain progress: steps are being taken
                    break
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
            assert process.wait(timeout=60) == 130
        finally:
            process.kill()
    assert "interrupted at step" in rest
    assert "go on with: gradus train --resume kept" in rest
    run = gradus.open_run(tmp_path / "kept")
    assert run.status == "interrupted"
    assert run.history.num_rows > 0
    assert run.model is not None


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["--engine", "eager", "--hidden", "64", "--epochs", "60"], id="eager"),
        pytest.param(
            ["--engine", "native", "--hidden", "256,256", "--epochs", "50"],
            id="native",
            marks=pytest.mark.skipif(kernels.core() is None, reason=str(kernels.absence())),
        ),
    ],
)
def test_on_a_terminal_the_progress_is_one_live_line(tmp_path, options):
    terminal, side = pty.openpty()
    command = [sys.executable, "-m", "gradus", "train", *options, "--out", "live"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdin=side,
        stdout=side,
        stderr=side,
    ) as process:
        os.close(side)
        shown, deadline = b"", time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                shown += os.read(terminal, 4096)
            except OSError:  # the terminal closes with the process
                break
        assert process.wait(timeout=10) == 0
    os.close(terminal)
    text = shown.decode()
    assert "samples/s" in text
    assert "left" in text
    assert len(re.findall(r"epoch \d+/", text)) > 3
    assert "balanced accuracy" in text


def test_runs_started_at_once_take_a_folder_each(tmp_path):
    command = [sys.executable, "-m", "gradus", "train", "--model", "linear", "--epochs", "1"]
    processes = [
        subprocess.Popen([*command, "--quiet"], cwd=tmp_path, env=ENVIRONMENT) for _ in range(2)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    folders = {path.parent.name for path in tmp_path.glob("runs/*/run.json")}
    assert folders == {"digits-sgd-1", "digits-sgd-2"}


def test_the_help_tells_the_default_of_each_choice_where_they_differ():
    told = {name: "; ".join(defaults_of(name)) for name in RunSpec.model_fields}
    usual, whole, *_ = told["lr"].split("; ")
    assert usual == "0.001"
    assert whole.endswith(": 1.0")
    of = whole.removesuffix(": 1.0").split(", ")
    assert {"adadelta", "gauss-newton", "levenberg-marquardt", "lbfgs", "newton"} <= {*of}
    assert "; adagrad, rmsprop: 0.01" in told["lr"]
    assert told["weight_decay"] == "0.0; adamw, muon: 0.01"
    assert told["sampling"].startswith("shuffle; gauss-newton, lbfgs,")
    assert told["line_search"] == "none; lbfgs: strong-wolfe; newton-cg: backtracking"
    assert (told["strength"], told["nesterov"]) == ("", "muon: True")
    assert told["hidden"] == "512,512"


def test_advice_speaks_the_words_of_the_command_line(call):
    code, _, err = call("train", "--model", "linear", "--method", "newton")
    assert code == 2
    said = err.splitlines()[-1]
    assert said.startswith("gradus: --method newton: step 0: the Hessian is")
    assert "give --damping" in said
    assert said.endswith("--saddle-free, or take --method newton-cg")


@pytest.mark.parametrize(("command", "own"), [("train", "This command"), ("sweep", "The sweep")])
def test_the_help_groups_the_options_of_a_run_by_its_parts(command, own):
    told = CliRunner().invoke(cli, [command, "--help"]).output
    sections = [line[:-1] for line in told.splitlines() if re.fullmatch(r"[A-Z][a-z ]+:", line)]
    headings = [part.heading for part in PARTS]
    assert [heading for heading in sections if heading != "Examples"] == [*headings, own]

    method = told[told.index("\nMethod:") : told.index("\nSchedule of")]
    assert "--momentum" in method
    assert "--epochs" not in method
