"""A method of the user's by its name, on the command line and in specs."""

import json
import sys

import pytest

import gradus
from gradus import InputError, RunSpec, train
from gradus.cli import main

MODULE = """
from dataclasses import dataclass
from pathlib import Path
import torch
from gradus.methods import GradientDescent, FirstOrder
Path("imported").touch()

@dataclass(frozen=True)
class Descent(FirstOrder):
    lr: float
    factor: float = 1.0
    def init(self, w): return None
    def query(self, w, state): return w
    def update(self, w, g, state): return w - self.lr * self.factor * g, None

class Plain(torch.optim.SGD):
    pass

def no_method(): pass
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ownmethods.py").write_text(MODULE)
    yield tmp_path
    sys.modules.pop("ownmethods", None)


def gradus_(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code or 0


QUICK = {"model": "linear", "epochs": 1}
FLAGS = ["--model", "linear", "--epochs", "1", "--quiet"]


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("ownmethods:Descent", "lr=0.05,factor=2.0"),
        ("ownmethods:Plain", "lr=0.1"),
        ("torch.optim:SGD", "lr=0.1"),
    ],
)
def test_it_trains_by_its_name(own, method, options):
    asked = ["--method", method, "--method-options", options]
    assert gradus_("train", *FLAGS, *asked, "--out", "r") == 0
    by_equation = train(RunSpec(method="gradient-descent", lr=0.1, **QUICK))
    run = gradus.open_run("r")
    assert run.spec.method_options == tuple(options.split(","))
    for loss, expected in zip(run.history["loss"], by_equation.history["loss"], strict=True):
        assert loss.as_py() == pytest.approx(expected.as_py(), rel=1e-4)
    again = train("digits", method=method, method_options=options, **QUICK)
    assert again.history.equals(run.history)
    assert again.spec == run.spec


def test_a_record_that_names_it_imports_nothing_unasked(own, capsys):
    named = ["--method", "ownmethods:Descent"]
    gradus_("train", *FLAGS, *named, "--method-options", "lr=0.1", "--out", "r")
    capsys.readouterr()
    sys.modules.pop("ownmethods")
    (own / "imported").unlink()
    refused = "its method ownmethods:Descent is code: ownmethods would be imported and Descent"
    for asked in (["--spec", "r/run.json"], ["--resume", "r", "--epochs", "2"], ["--from", "r"]):
        assert gradus_("train", "--quiet", *asked) == 2
        assert refused in capsys.readouterr().err
    with pytest.raises(InputError, match=refused):
        gradus.resume("r", epochs=2)
    with pytest.raises(InputError, match=refused):
        gradus.open_run("r", trust=True).train()
    assert gradus_("sweep", *FLAGS[:4], *named, "--seeds", "2") == 2
    assert "is code of your own, which is for one run by itself" in capsys.readouterr().err
    assert not (own / "imported").exists()
    assert gradus_("train", "--resume", "r", "--epochs", "2", "--quiet", *named) == 0
    assert (own / "imported").exists()
    assert json.loads((own / "r/run.json").read_text())["spec"]["epochs"] == 2


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("ownmethods:Nothing", "lr=1", "method=ownmethods:Nothing: ownmethods has no function"),
        ("ownmethods:no_method", "lr=1", "is neither a class of gradus.methods.Method nor of"),
        ("ownmethods:Descent", "", "cannot be made with method_options=none: Descent.__init__()"),
        ("ownmethods:Descent", "lr", "method_options=lr: give each as name=value, as lr=0.1"),
        ("ownmethods:Plain", "lr=-1", "method=ownmethods:Plain: cannot be made: Invalid learning"),
        ("nowhere:Method", "", "method=nowhere:Method: no module 'nowhere' in"),
        ("adam", "lr=1", "method_options is not an option of method=adam"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(own, method, options, message):
    with pytest.raises(InputError) as caught:
        train("digits", method=method, method_options=options or None, **QUICK)
    assert message in str(caught.value).replace("nowhere in", "'nowhere' in")
    assert "\n" not in str(caught.value)


def test_options_may_be_pairs(own):
    run = train(
        "digits", method="torch.optim:Adam", method_options="lr=0.01,betas=(0.5, 0.9)", **QUICK
    )
    by_name = train("digits", method="adam", lr=0.01, betas=(0.5, 0.9), engine="eager", **QUICK)
    assert run.history.equals(by_name.history)
