"""The commands of the pages that draw: here, where the facts of the pictures are found already."""

import shlex
import sys

import matplotlib as mpl
import pytest

import gradus
from gradus.cli import main
from gradus.figures.subject import animation, catalogue, paths
from tests.figures.subject_facts import facts_of
from tests.test_documentation import PAGES, commands_of

COMMANDS = [
    *(command for page in PAGES for command in commands_of(page, "figures")),
    *(command for page in PAGES for command in commands_of(page, "landscape")),
]


@pytest.mark.parametrize("command", dict.fromkeys(COMMANDS))
def test_commands_of_the_pages_draw(command, tmp_path, monkeypatch):
    """On a run of each name, on a function in a file; coarse, of few frames, rates and examples."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(mpl.rcParams, "savefig.dpi", 40)
    monkeypatch.setattr(animation, "FRAMES", 2)
    monkeypatch.setattr(catalogue.Subject, "facts", lambda subject: facts_of(subject.name))
    (tmp_path / "mine.py").write_text("def f(w):\n    return (w**2).sum()\n")
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    arguments = shlex.split(command)[1:]
    for run in {argument for argument in arguments if argument.startswith("runs/")}:
        spec = gradus.RunSpec(method=run.split("-")[1], hidden=(4,), epochs=1)
        gradus.train(spec, out=run)
    if arguments[0] == "landscape":
        arguments += ["--grid", "3", "--examples", "60"]
    if {"--function", "--landscape"} & {*arguments}:  # the facts of these alone are found anew
        monkeypatch.setattr(paths, "RATES", (0.01, 0.1))
    if "rates" in arguments:
        spec = gradus.SweepSpec(base={"model": "linear", "epochs": 1}, vary={"lr": [0.1, 1.0]})
        gradus.train_sweep(spec, out="sweeps/rates")
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert not ended.value.code
