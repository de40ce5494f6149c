"""What is planted is found, what is healthy is left alone, and what is said can be read."""

import json

import pytest

import gradus
from gradus import methods
from gradus.cli import main
from gradus.diagnosis import Experiment
from gradus.diagnosis.causes import all_causes
from tests.diagnosis.planted import net, numbers, split, trained

HEALTHY = {
    "sgd": {},
    "adam": {"method": methods.Adam(0.02)},
    "edge of stability": {"method": methods.SGD(1.0), "epochs": 40},
    "schedule": {"method": methods.SGD(methods.Cosine(0.4, steps=135), momentum=0.5)},
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_run_is_left_alone(name):
    found = gradus.diagnose(trained(**HEALTHY[name]))
    assert found.healthy
    assert found.findings == ()
    assert found.verdict.startswith("nothing found")
    assert found.notes == ()


PLANTED = {
    "learning rate too high": {"data": numbers(), "model": "linear", "method": methods.SGD(1.5)},
    "learning rate too low": {"method": methods.SGD(1e-5)},
    "target not brought to scale": {
        "data": numbers(shift=500.0, scale=40.0),
        "model": net(4, 8, 1),
        "method": methods.SGD(0.01),
    },
    "inputs not brought to scale": {"data": split((300.0, 0.3)), "method": methods.SGD(0.2)},
}


@pytest.mark.parametrize("cause", PLANTED)
def test_what_is_planted_is_confirmed_first(cause):
    found = gradus.diagnose(trained(**PLANTED[cause]), budget=10)
    assert not found.healthy
    finding = found.confirmed[0]
    assert finding.cause == cause
    assert finding.experiment.exceeds_noise
    assert finding.gain == finding.experiment.difference > 0.1
    assert finding.remedy.call


def test_every_cause_has_its_page_and_name():
    causes = all_causes()
    assert len({cause.name for cause in causes}) == len(causes)
    for cause in causes:
        with open(cause.page, encoding="utf-8") as page:
            assert page.read(1) == "#"


def test_an_experiment_within_its_noise_shows_nothing():
    given = ("lr 0.1 in place of 1", "training loss", 50, 3, 1.0, 0.7, 0.3)
    assert not Experiment(*given, standard_error=0.11).exceeds_noise
    assert Experiment(*given, standard_error=0.09).exceeds_noise


def test_before_training_the_same_words_are_taken():
    found = gradus.diagnose(
        data=split(), model="linear", method=methods.SGD(1e-6), epochs=5, batch_size=20, budget=5
    )
    assert [each.cause for each in found.confirmed] == ["learning rate too low"]
    with pytest.raises(gradus.InputError, match="data: say on what"):
        gradus.diagnose(model="linear")


def test_the_command_prints_exits_and_mends(tmp_path, capsys):
    spec = gradus.RunSpec(model="linear", lr=1e-6, epochs=2, batch_size=64)
    folder = tmp_path / "run"
    gradus.train(spec, out=folder)
    with pytest.raises(SystemExit) as ended:
        main(["doctor", str(folder), "--budget", "5s", "--json"])
    assert ended.value.code == 4
    finding = json.loads(capsys.readouterr().out)["findings"][0]
    assert finding["cause"] == "learning rate too low"
    command = finding["remedy"]["command"].split()
    assert command[:4] == ["gradus", "train", "--spec", str(folder)]
    with pytest.raises(SystemExit) as ended:
        main([*command[1:], "--out", str(tmp_path / "mended"), "--quiet"])
    assert ended.value.code == 0
    with pytest.raises(SystemExit) as ended:
        main(["doctor", str(tmp_path / "mended"), "--budget", "5s"])
    assert ended.value.code == 0
    assert "nothing found" in capsys.readouterr().out


@pytest.mark.parametrize("given", ["soon", "0s", "3 weeks"])
def test_a_budget_that_is_no_time_is_one_line(given, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["doctor", str(tmp_path), "--budget", given])
    assert ended.value.code == 2
    assert "give a time, as 30s" in capsys.readouterr().err
