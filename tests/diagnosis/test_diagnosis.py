"""What is planted is found, what is healthy is left alone, and what is said can be read."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import gradus
from gradus import methods
from gradus.cli import main
from gradus.diagnosis import Experiment
from gradus.diagnosis.case import case_of
from gradus.diagnosis.causes import all_causes
from gradus.diagnosis.evidence import Evidence
from gradus.diagnosis.examination import Tried
from gradus.diagnosis.findings import Finding, Remedy
from gradus.diagnosis.fork import Change, Laboratory, Trial, experiment
from gradus.diagnosis.replay import replay
from gradus.methods import SGD
from tests.diagnosis import planted
from tests.diagnosis.planted import net, numbers, split, trained

DEEP = (2, *[12] * 8, 3)

HEALTHY = {
    "sgd": {},
    "adam": {"method": methods.Adam(0.02)},
    "edge of stability": {"method": SGD(1.0), "epochs": 40},
    "schedule": {"method": SGD(methods.Cosine(0.4, steps=135), momentum=0.5)},
    "momentum of 0.99": {"method": SGD(0.02, momentum=0.99)},
    "log-softmax before cross entropy": {"model": planted.ending_in(nn.LogSoftmax(dim=1))},
    "a little decay": {"method": SGD(0.2, momentum=0.5, weight_decay=1e-3)},
    "deep": {"model": net(*DEEP), "epochs": 25},
    "numbers": {"data": numbers(), "model": net(4, 8, 1), "method": SGD(0.05)},
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_run_is_left_alone(name):
    found = gradus.diagnose(trained(**HEALTHY[name]))
    assert found.healthy
    assert found.findings == ()
    assert found.verdict.startswith("nothing found")
    assert found.notes == ()


PLANTED = {
    "learning rate too high": [
        {"data": numbers(), "model": "linear", "method": SGD(1.5)},
        {"data": numbers(), "model": net(4, 8, 1), "method": methods.Adam(5.0)},
    ],
    "learning rate too low": [{"method": SGD(1e-5)}, {"method": methods.Adam(1e-6)}],
    "momentum too high": [
        {"data": numbers(), "model": "linear", "method": SGD(0.1, momentum=0.999)}
    ],
    "momentum too low": [{"data": planted.alike_columns(), "model": "linear", "method": SGD(0.1)}],
    "target not brought to scale": [
        {"data": numbers(1000.0, 40.0), "model": net(4, 8, 1), "method": SGD(0.01)}
    ],
    "inputs not brought to scale": [{"data": split((300.0, 0.3)), "method": SGD(0.2)}],
    "bad initial parameters": [{"model": planted.zero}, {"model": planted.silent}],
    "not finite": [{"model": planted.naive, "loss": "nll", "method": SGD(5.0)}],
    "vanishing gradients": [{"model": net(*DEEP, activation=nn.Sigmoid)}],
    "output and loss do not fit": [
        {"model": planted.ending_in(nn.Softmax(dim=1))},
        {"model": planted.ending_in(nn.ReLU())},
        {"data": numbers(), "model": planted.ending_in(nn.ReLU(), 4, 8, 1), "method": SGD(0.1)},
    ],
    "missing non-linearity": [
        {"data": planted.rings(), "model": planted.bare, "method": methods.Adam(0.05)}
    ],
    "weight decay too strong": [{"method": SGD(0.2, momentum=0.5, weight_decay=0.5)}],
    "penalty too strong": [{"penalty": "l1", "strength": 0.3}],
    "parameters frozen": [{"model": planted.frozen}],
    "batch too large": [{"batch_size": 180, "method": SGD(0.03), "epochs": 10}],
}


@pytest.mark.parametrize(
    ("cause", "options"), [(cause, each) for cause, those in PLANTED.items() for each in those]
)
def test_what_is_planted_is_suspected_and_undone(cause, options):
    """Some change that the cause proposes takes off the loss what it has to, in one pair."""
    case = case_of(trained(**options))
    evidence = Evidence(case, replay(case, time.monotonic() + 60))
    looked_for = next(each for each in all_causes() if each.name == cause)
    suspicion = looked_for.suspect(evidence)
    laboratory, measure = Laboratory(case, 1.0, time.monotonic() + 60), looked_for.measure
    before = laboratory.trial(0).share(measure)
    gains = (before - laboratory.trial(0, (each,)).share(measure) for each in suspicion.changes)
    assert any(gain > looked_for.least_gain for gain in gains)
    assert suspicion.sentence.endswith(".")
    assert case.remedy(suspicion.changes[:1]).call


@pytest.mark.parametrize("cause", ["target not brought to scale", "penalty too strong"])
def test_what_is_planted_is_confirmed(cause):
    found = gradus.diagnose(trained(**PLANTED[cause][0]), budget=60)
    assert not found.healthy
    finding = found.confirmed[0]
    assert finding.cause == cause
    assert finding.experiment.exceeds_noise
    assert finding.gain == finding.experiment.difference > 0.1


@pytest.fixture
def look_for(monkeypatch):
    """Look for some causes alone: the others cost time."""

    def only(*names):
        causes = tuple(each for each in all_causes() if each.name in names)
        monkeypatch.setattr("gradus.diagnosis.examination.all_causes", lambda: causes)

    return only


def test_two_causes_that_hide_each_other_are_both_found(look_for):
    look_for("vanishing gradients", "learning rate too low")
    model = net(*DEEP, activation=nn.Sigmoid)
    found = gradus.diagnose(trained(model=model, method=SGD(1e-7)), budget=60)
    names = [each.cause for each in found.confirmed]
    assert names == ["vanishing gradients", "learning rate too low"]
    assert "ReLU" in found.confirmed[1].experiment.beside
    assert "lr=" in found.confirmed[0].remedy.call


@pytest.mark.parametrize("target", [{"apart": 0.0}, {"apart": 0.0, "noise": 1.5}])
def test_no_momentum_is_missed_where_the_flat_direction_says_nothing(target, look_for):
    """Arrived, or as far as a target that is mostly noise lets it."""
    look_for("momentum too low")
    data = planted.alike_columns(**target)
    assert gradus.diagnose(trained(data, "linear", SGD(0.1)), budget=60).findings == ()


def test_no_rate_is_too_low_and_too_high_at_once(look_for, monkeypatch):
    """Both are suspected where little was learned, and each may gain something on the other."""
    look_for("learning rate too low", "learning rate too high")
    gains = Experiment("another rate", "training loss", 50, 3, 1.0, 0.5, 0.5, 0.01)

    def tried(self, cause, suspicion, on=()):
        return Tried(cause, suspicion, suspicion.changes[0], gains, tuple(on))

    monkeypatch.setattr("gradus.diagnosis.examination._Examination.tried", tried)
    found = gradus.diagnose(trained(method=SGD(1e-5)), budget=60)
    assert len(found.findings) == 1


def test_a_raw_table_is_told_to_be_out_of_scale_and_not_its_rate(look_for):
    """A rate that is low enough for raw columns only ends the divergence; scale lets it learn."""
    look_for("learning rate too high", "inputs not brought to scale", "target not brought to scale")
    data = numbers(150.0, 80.0)
    train, test = (replace(part, x=part.x * 20 + 100) for part in (data.train, data.test))
    raw = replace(data, train=train, test=test)
    found = gradus.diagnose(trained(raw, net(4, 16, 1), SGD(1e-3)), budget=60)
    assert [each.cause for each in found.confirmed] == ["inputs not brought to scale"]
    assert "standardize=True" in found.confirmed[0].remedy.call


def test_a_run_that_is_lost_is_no_more_lost_by_chance():
    """Examples of a blown-up loss differ without end; a mean beyond the worst counts as that."""
    blown = Trial("finished", 10, np.geomspace(1e-3, 20.0, 50), None, None)
    lost = Trial("diverged", 10, np.full(50, 2.0), None, None)
    sound = Trial("finished", 10, np.linspace(0.2, 0.6, 50), None, None)
    change = Change("lr 0.1 in place of 1")
    tries = [experiment(change, "training loss", 3 * [(each, sound)]) for each in (blown, lost)]
    assert tries[0] == tries[1]
    assert tries[0].difference == pytest.approx(1.6)


def test_where_a_number_is_lost_is_told_by_its_module_and_step(look_for):
    """The logarithm of a softmax is that of 0 in float32, and is finite in float64."""
    look_for("not finite")
    run = trained(model=planted.naive, loss="nll", method=SGD(5.0))
    found = gradus.diagnose(run, budget=60)
    assert run.status == "diverged"
    named = {each.cause: each for each in found.findings}
    assert "module 3 (Logarithm)" in named["not finite"].sentence
    assert "too large or too small for float32" in named["not finite"].sentence


def test_every_cause_has_its_page_and_stands_in_the_guide():
    causes, guide = all_causes(), Path("docs/why.md").read_text(encoding="utf-8")
    assert len({cause.name for cause in causes}) == len(causes)
    for cause in causes:
        assert Path(cause.page).exists()
        assert f"| {cause.name} |" in guide


def test_an_experiment_within_its_noise_shows_nothing():
    given = ("lr 0.1 in place of 1", "training loss", 50, 3, 1.0, 0.7, 0.3)
    assert not Experiment(*given, standard_error=0.11).exceeds_noise
    assert Experiment(*given, standard_error=0.09).exceeds_noise


def test_one_pair_confirms_nothing_however_much_it_gains():
    each = np.full(50, 1.0)
    before, after = (Trial("finished", 10, share * each, None, None) for share in (1.0, 0.1))
    change = Change("lr 0.1 in place of 1")
    once = experiment(change, "training loss", [(before, after)])
    assert (once.difference, once.exceeds_noise) == (pytest.approx(0.9), False)
    assert str(once).endswith("against 100 % (90 points)")
    assert experiment(change, "training loss", 2 * [(before, after)]).exceeds_noise
    found = Finding("a", "possible", "b.", (), once, Remedy(None, "c"), "d").as_dict()
    assert found["experiment"]["standard_error"] is None


def test_before_training_the_same_words_are_taken():
    found = gradus.diagnose(
        data=split(), model="linear", method=SGD(1e-6), epochs=5, batch_size=20, budget=60
    )
    assert [each.cause for each in found.confirmed] == ["learning rate too low"]
    with pytest.raises(gradus.InputError, match="data: say on what"):
        gradus.diagnose(model="linear")


def test_a_run_that_cannot_be_repeated_is_one_line():
    moved = gradus.Scheduler(lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1))
    run = trained(epochs=1, callbacks=[moved])
    with pytest.raises(gradus.InputError, match="its learning rate was moved by"):
        gradus.diagnose(run)
    start = gradus.train(gradus.RunSpec(model="linear", epochs=1))
    run = gradus.train(gradus.RunSpec(model="linear", epochs=1), start=start)
    with pytest.raises(gradus.InputError, match="began with the parameters of another run"):
        gradus.diagnose(run)


def test_the_command_prints_exits_and_mends(look_for, tmp_path, capsys):
    look_for("learning rate too low", "inputs not brought to scale")
    spec = gradus.RunSpec(data="examples/iris.csv", target="species", model="linear", lr=1e-6)
    folder = tmp_path / "run"
    gradus.train(spec, out=folder)
    with pytest.raises(SystemExit) as ended:
        main(["doctor", str(folder), "--budget", "60s", "--json"])
    assert ended.value.code == 4
    finding = json.loads(capsys.readouterr().out)["findings"][0]
    assert finding["cause"] == "learning rate too low"
    command = finding["remedy"]["command"].split()
    assert command[:4] == ["gradus", "train", "--spec", str(folder)]
    with pytest.raises(SystemExit) as ended:
        main([*command[1:], "--out", str(tmp_path / "mended"), "--quiet"])
    assert ended.value.code == 0
    page = tmp_path / "why.html"
    with pytest.raises(SystemExit) as ended:
        main(["doctor", str(tmp_path / "mended"), "--budget", "60s", "--out", str(page)])
    assert ended.value.code == 0
    assert "nothing found" in capsys.readouterr().out
    assert page.read_text(encoding="utf-8").count("<figure>") >= 3


@pytest.mark.parametrize("given", ["soon", "0s", "3 weeks"])
def test_a_budget_that_is_no_time_is_one_line(given, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["doctor", str(tmp_path), "--budget", given])
    assert ended.value.code == 2
    assert "give a time, as 30s" in capsys.readouterr().err
