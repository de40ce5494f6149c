"""A search finds a learning rate that is known within its budget, and says how sure it is."""

import json
import math
import re

import numpy as np
import pytest
import torch

import gradus
from gradus.cli import main
from gradus.figures.tuning import draw_rates, rates_of
from gradus.runs.spec import RunSpec
from gradus.tuning.alternatives import alternatives_of
from gradus.tuning.batch_size import ALIKE, BatchSizes, batch_sizes
from gradus.tuning.bracket import Alternative, _next, search
from gradus.tuning.budget import Budget
from gradus.tuning.plateau import plateau_of
from gradus.tuning.trainers import InSweeps


def searched(worth, *, edge=1.0, epochs=90, budget=10.0, alternatives=()):
    """All that a search trains, with its worth."""
    course, tried = search(edge, epochs, budget, alternatives), []
    batch = next(course)
    while batch:
        found = [worth(each) for each in batch]
        tried += zip(batch, found, strict=True)
        try:
            batch = course.send(found)
        except StopIteration:
            break
    return tried


def cost(tried, epochs):
    return sum(each.epochs for each, _ in tried) / epochs


def best_of(tried, epochs):
    return min((found, each.lr) for each, found in tried if each.epochs == epochs)[1]


@pytest.mark.parametrize("best", [2e-4, 3e-3, 0.05, 0.4, 1.3])
@pytest.mark.parametrize("epochs", [1, 2, 7, 90])
def test_a_bowl_is_found_to_a_fifth_within_the_budget(best, epochs):
    tried = searched(lambda each: math.log(each.lr / best) ** 2, epochs=epochs)
    assert cost(tried, epochs) <= 10
    assert abs(math.log(best_of(tried, epochs) / best)) < (0.2 if epochs > 2 else 0.5)


def test_short_trainings_that_prefer_a_larger_rate_do_not_decide():
    tried = searched(lambda each: math.log(each.lr / (0.02 * (90 / each.epochs) ** 0.7)) ** 2)
    assert abs(math.log(best_of(tried, 90) / 0.02)) < 0.25


def test_rates_that_diverge_are_left_below():
    """All of the first ones do."""
    tried = searched(
        lambda each: math.inf if each.lr > 2e-5 else math.log(each.lr / 1e-5) ** 2, budget=12
    )
    assert best_of(tried, 90) == pytest.approx(1e-5, rel=0.2)


@pytest.mark.parametrize("budget", [1.0, 2.0, 3.0, 5.0, 30.0])
@pytest.mark.parametrize("epochs", [1, 2, 5, 90])
def test_no_budget_is_exceeded(budget, epochs):
    tried = searched(lambda each: math.log(each.lr / 0.05) ** 2, budget=budget, epochs=epochs)
    assert cost(tried, epochs) <= budget
    assert any(each.epochs == epochs for each, _ in tried)


def test_the_range_test_of_a_tiny_run_counts_and_is_cut():
    found = gradus.tune(table(), model="linear", epochs=6, batch_size=32, budget=3)
    steps = 6 * 2
    assert found.test.steps <= 3 * steps / 3
    assert len(found.test.losses) == 1
    assert found.spent <= 3


def test_a_gap_between_good_rates_comes_before_one_beside_a_lucky_best():
    worths = {0.1: 1.0, 0.3: 1.01, 1.0: 5.0, 3.0: 0.99, 10.0: math.inf}
    assert _next(worths) == [0.063, 0.17]


def test_an_alternative_is_taken_where_it_is_better_and_its_rate_is_searched():
    def worth(each):
        target, gain = (0.01, 0.0) if each.options else (0.1, 1.0)
        return gain + math.log(each.lr / target) ** 2

    choices = [[Alternative({"momentum": 0.9}, 0.1), Alternative({"momentum": 0.99}, 1.0)]]
    tried = searched(worth, alternatives=choices)
    found, each = min(((found, each) for each, found in tried), key=lambda pair: pair[0])
    assert each.options
    assert each.lr == pytest.approx(0.01, rel=0.2)
    assert found < 1


@pytest.mark.parametrize(
    ("options", "free", "values"),
    [
        ({"momentum": 0.5}, "momentum", [0.0, 0.9, 0.97]),
        ({"method": "nesterov"}, "momentum", [0.0, 0.5, 0.97]),
        ({"batch_size": 32}, "batch_size", [8, 128, 512]),
        ({"method": "adamw"}, "weight_decay", [0.0, 0.1, 0.3]),
        ({"hidden": "64,8"}, "hidden", [(16, 2), (32, 4), (128, 16), (256, 32)]),
    ],
)
def test_alternatives_are_other_values(options, free, values):
    (found,) = alternatives_of(RunSpec(**options), [free])
    assert [value for each in found for value in each.options.values()] == values


def test_the_fastest_batch_weighs_steps_against_what_one_takes():
    """Steps to the same loss fall as 1 + B_noise / B (McCandlish et al., 2018, eq. 2.6)."""
    free = dict.fromkeys((8, 16, 32, 64, 128), 1.0)  # larger batches cost nothing
    alike = BatchSizes(noise=64, now=16, lr=0.1, epochs=10, seconds=free, power=1.0)
    assert [alike.steps(size) for size in free] == pytest.approx([1.8, 1.0, 0.6, 0.4, 0.3])
    assert alike.fastest == 128
    # the same epochs would be 10 x 0.3 x 8 of these steps; the rate grows as steps get rarer
    assert alike.options(128) == {"batch_size": 128, "lr": 0.33, "epochs": 24}
    dear = BatchSizes(64, 16, 0.1, 10, {size: float(size) for size in free}, 1.0)
    assert [dear.time(size) for size in free] == pytest.approx([0.9, 1.0, 1.2, 1.6, 2.4])
    assert dear.fastest == 16  # 8 is faster by less than can be told
    assert dear.time(16) < ALIKE * dear.time(8)


def test_batch_sizes_of_a_run_are_measured_and_leave_the_random_state():
    split = gradus.data.load("digits", validation_fraction=0.2)
    state = torch.get_rng_state()
    spec = RunSpec(model="linear", lr=0.1, epochs=30, validation_fraction=0.2)
    sizes, cost = batch_sizes(spec, split)
    assert (torch.get_rng_state() == state).all()
    assert sizes.noise > 0
    assert list(sizes.seconds) == [2**k for k in range(8)]
    assert all(seconds > 0 for seconds in sizes.seconds.values())
    assert 1 / 3 <= cost <= 1


def test_a_search_says_the_fastest_batch_where_its_size_is_free():
    options = {"model": "linear", "epochs": 30}
    found = gradus.tune("digits", free=["batch-size"], budget=8, **options)
    assert found.sizes.now == found.run.spec.batch_size
    assert found.sizes.fastest in found.sizes.seconds
    assert found.record()["sizes"]["fastest"]["batch_size"] == found.sizes.fastest
    assert found.spent <= 8
    assert gradus.tune("digits", budget=2, **options).sizes is None


def test_rates_whose_differences_are_noise_make_the_plateau():
    generator = np.random.default_rng(0)
    hard = torch.tensor(generator.exponential(size=400))
    noise = [torch.tensor(0.1 * generator.standard_normal(400)) for _ in range(4)]
    losses = {lr: hard + shift + each for lr, shift, each in zip(
        (0.01, 0.03, 0.1, 0.3), (0.5, 0.001, 0.0, 0.3), noise, strict=True)}  # fmt: skip
    found = plateau_of(0.1, losses)
    assert (found.low, found.high, found.examples) == (0.03, 0.1, 400)


def table():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(80, 3, generator=generator)
    return x, x @ torch.tensor([1.0, -2.0, 0.5]) + 0.1 * torch.randn(80, generator=generator)


def test_a_network_of_ones_own_is_tuned_and_trained():
    data, net = table(), torch.nn.Linear(3, 1)
    found = gradus.tune(data, model=net, loss=torch.nn.MSELoss(), epochs=30, budget=4)
    again = gradus.train(data, model=net, loss=torch.nn.MSELoss(), epochs=30, lr=found.lr)
    assert found.run.evaluation.equals(again.evaluation)
    assert found.best.value == min(
        trial.value for trial in found.trials if trial.candidate.epochs == 30 and trial.value
    )
    assert found.plateau.low <= found.lr <= found.plateau.high
    facts = rates_of(found)
    assert facts.best == (found.lr, found.best.value)
    assert [course.epochs for course in facts.courses] == sorted(
        {trial.candidate.epochs for trial in found.trials}, reverse=True
    )
    assert len(draw_rates(facts).axes) == 2


def test_what_another_measure_chose_has_no_plateau_by_the_loss():
    options = {"model": "linear", "epochs": 3, "measure": "validation-mae", "budget": 2}
    found = gradus.tune(table(), **options)
    assert found.measure == "validation_mae"
    assert found.plateau is None


def test_what_the_budget_did_not_last_for_is_said_and_a_choice_on_the_test_part_too():
    options = {"model": "linear", "epochs": 3, "measure": "test-loss", "validation_fraction": 0}
    free = ["momentum", "batch-size"]
    little, more = (gradus.tune(table(), free=free, budget=b, **options) for b in (2, 5))
    assert little.unsearched == ("momentum", "batch_size")
    assert more.unsearched == ("batch_size",)
    assert little.record()["note"].startswith("chosen on the test part")


def test_the_command_leaves_a_run_a_picture_and_what_trains_it_again(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", x=table()[0].numpy(), y=table()[1].numpy())
    options = ["--model", "linear", "--epochs", "30", "--method", "adam"]
    with pytest.raises(SystemExit, match="0"):
        main(["tune", "data.npz", *options, "--budget", "4", "--quiet", "--out", "found"])
    command = capsys.readouterr().out.split()
    said = json.loads((tmp_path / "found" / "tune.json").read_text())
    assert said["command"].split() == command
    assert (tmp_path / "found" / "tune.png").stat().st_size > 10_000
    with pytest.raises(SystemExit, match="0"):
        main([*command[1:], "--out", "again", "--quiet"])
    run, again = (gradus.open_run(tmp_path / name) for name in ("found/run", "again"))
    assert run.evaluation.equals(again.evaluation)


def test_sweeps_train_the_same_and_nothing_twice(tmp_path):
    options = {"model": "linear", "epochs": 2, "batch_size": 32, "budget": 2}
    alone = gradus.tune("digits", **options)
    kept = gradus.tune("digits", out=tmp_path / "kept", workers=1, **options)
    assert kept.lr == alone.lr
    assert [trial.value for trial in kept.trials] == [trial.value for trial in alone.trials]
    assert kept.run.evaluation.equals(alone.run.evaluation)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    again = gradus.tune("digits", out=tmp_path / "kept", workers=1, **options)
    assert again.lr == kept.lr
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")} == before


def test_a_folder_holds_one_search(tmp_path):
    (tmp_path / "tune.json").write_text('{"asked": {"data": "digits", "epochs": "3"}}')
    with pytest.raises(gradus.InputError, match="holds a search with other options"):
        gradus.tune("digits", model="linear", epochs=1, batch_size=256, out=tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(gradus.InputError, match=r"holds run\.json already"):
        gradus.tune("digits", model="linear", epochs=1, batch_size=256, out=tmp_path)


def test_a_search_that_was_broken_off_goes_on_with_its_own_options_alone(tmp_path, monkeypatch):
    def broken_off(self, candidates, tell):
        raise KeyboardInterrupt

    monkeypatch.setattr(InSweeps, "train", broken_off)
    given = {"model": "linear", "epochs": 3, "workers": 1, "out": tmp_path / "kept"}
    with pytest.raises(KeyboardInterrupt):
        gradus.tune("digits", **given)
    with pytest.raises(gradus.InputError, match="holds a search with other options"):
        gradus.tune("digits", **given, batch_size=32)
    with pytest.raises(KeyboardInterrupt):
        gradus.tune("digits", **given)


@pytest.mark.parametrize("what", ["range test", "trainings of 1 of 9 epochs"])
def test_an_interruption_ends_the_search(what):
    def tell(stage, done, of):
        if stage == what:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gradus.tune(table(), model="linear", epochs=9, budget=20, tell=tell)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--lr", "0.1"], "--lr 0.1: is what the search finds; leave it out"),
        (["--budget", "1"], "--budget 1: give 2 trainings at least"),
        (["--budget", "soon"], "--budget soon: give a number of trainings, as 10, or a time"),
        (["--free", "penalty"], "--free penalty: choose lr, batch-size, momentum"),
        (["--free", "momentum", "--method", "adam"], "--free momentum: --method adam has none"),
        (["--method", "lbfgs"], "finds the length of its steps by itself"),
        (["--validation-fraction", "0"], "no examples are held for validation, to choose on"),
    ],
)
def test_what_cannot_be_is_one_line(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main(["tune", "--model", "linear", "--epochs", "1", "--batch-size", "256", *arguments])
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"lr": 0.1}, "lr=0.1: is what the search finds; leave it out"),
        ({"budget": "soon"}, "budget=soon: give a number of trainings, as 10, or a time"),
        ({"free": ["momentum"], "method": "adam"}, "free=momentum: method=adam has none"),
    ],
)
def test_from_python_it_is_said_in_the_words_of_the_call(given, said):
    with pytest.raises(gradus.InputError, match=re.escape(said)):
        gradus.tune(table(), model="linear", **given)


def test_a_time_is_as_many_trainings_as_fit():
    assert Budget.read("60s").in_trainings(5.0) == 12
    with pytest.raises(gradus.InputError, match="one training takes about 40 s here"):
        Budget.read("1min").in_trainings(40.0)
