"""Several nets of one run: each is the run of its own seed, and what they give is averaged."""

import signal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import gradus
from gradus import InputError, RunSpec
from gradus.data.dataset import joined
from gradus.engine import native
from gradus.engine.job import Outcome
from gradus.figures.landscape import landscape
from gradus.models.average import Average
from gradus.runs.job import load_for, prepare, resolved
from gradus.runs.resume import resume
from gradus.runs.seeds import seed_of
from gradus.runs.several import split_of, takes_turns, train_others
from gradus.runs.train import train

CHEAP = {"data": "digits", "hidden": (16,), "lr": 0.1, "epochs": 3, "validation_fraction": 0.2}


@pytest.mark.parametrize("engine", ["native", "eager"])
def test_each_net_is_the_run_of_its_seed(tmp_path, engine):
    run = train(RunSpec(**CHEAP, engine=engine, models=3), out=tmp_path / "run")
    alone = [train(RunSpec(**CHEAP, engine=engine, seed=seed_of(0, net))) for net in range(3)]
    kept = load_file(tmp_path / "run" / "model.safetensors")
    for net, other in enumerate(alone):
        for name, parameter in other.model.state_dict().items():
            assert torch.equal(kept[f"nets.{net}.{name}"], parameter)
    assert run.history.equals(alone[0].history)
    assert run.summary["steps"] == sum(other.summary["steps"] for other in alone)
    assert run.summary["kept_epochs"] == [other.summary["kept"]["epoch"] for other in alone]
    x, y = gradus.data.load("digits", validation_fraction=0.2).test.batch()
    with torch.no_grad():
        p = torch.stack([other.model(x).softmax(dim=1) for other in alone]).mean(dim=0)
    right = (p.argmax(dim=1) == y).double().mean().item()
    assert run.summary["final"]["test_accuracy"] == pytest.approx(right)
    loss = -p[torch.arange(len(y)), y].log().mean().item()
    assert run.summary["test"]["loss"] == pytest.approx(loss, rel=1e-5)
    again = gradus.open_run(tmp_path / "run")
    with torch.no_grad():
        assert torch.equal(again.model(x), run.model(x))


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (
            3,
            {},
            "too few rows: 2 are left to train and to validate on, where 4 nets",
        ),
        (3, {}, "that each hold others need 3; give more rows, or --models 1"),
        (4, {}, None),
        (3, {"models": 1}, None),
        (3, {"validation_fraction": 0}, None),
    ],
)
def test_nets_that_hold_rows_in_turn_need_three(tmp_path, rows, options, message):
    path = tmp_path / "few.csv"
    path.write_text("a,b\n" + "".join(f"{i},{i * i}.5\n" for i in range(rows)))
    spec = RunSpec(**{"data": str(path), "target": "b", "models": 4, "epochs": 1} | options)
    if message is None:
        train(spec)
        return
    shown = []
    with pytest.raises(InputError) as refusal:
        train(spec, progress=lambda job, split: shown.append(split))
    assert message in str(refusal.value)
    assert not shown


def test_numbers_are_averaged_as_they_are():
    nets = [torch.nn.Linear(2, 1) for _ in range(3)]
    x = torch.randn(5, 2)
    expected = sum(net(x) for net in nets) / 3
    torch.testing.assert_close(Average(nets, classes=False)(x), expected)


@pytest.mark.parametrize("nets", [1, 4])
def test_probabilities_are_averaged(nets):
    models = [torch.nn.Linear(2, 3) for _ in range(nets)]
    x = torch.randn(7, 2)
    expected = np.mean([net(x).softmax(dim=1).detach().numpy() for net in models], axis=0)
    got = Average(models, classes=True)(x).exp()
    np.testing.assert_allclose(got.detach().numpy(), expected, rtol=1e-5)


def test_what_is_interrupted_goes_on_to_the_same_record(tmp_path):
    spec = RunSpec(**CHEAP, models=3)
    whole = train(spec, out=tmp_path / "whole")

    def interrupt_in_the_second(job, split):
        def shown(progress):
            if progress.step > job.steps:
                signal.raise_signal(signal.SIGINT)

        return shown

    broken = train(spec, out=tmp_path / "run", progress=interrupt_in_the_second)
    assert broken.status == "interrupted"
    assert gradus.open_run(tmp_path / "run").model.state_dict().keys() == {
        "1.weight", "1.bias", "3.weight", "3.bias",
    }  # fmt: skip
    run = resume(tmp_path / "run")
    assert run.status == "finished"
    assert run.summary["final"] == whole.summary["final"]
    for name, parameter in run.model.state_dict().items():
        assert torch.equal(parameter, whole.model.state_dict()[name])


def test_what_is_of_one_net_says_so(tmp_path):
    with pytest.raises(InputError, match="models=3: a sweep trains one net a run"):
        gradus.train_sweep(
            gradus.SweepSpec(base={"models": 3}, vary={"lr": "0.1,0.2"}), out=tmp_path
        )
    run = train(RunSpec(**CHEAP, models=2), out=tmp_path / "run")
    with pytest.raises(InputError, match="is the average of 2 nets, which has no one path"):
        landscape.facts([run])


def test_an_observer_ends_the_run_and_not_one_net():
    calls = []

    def observe(job, split):
        def observed(progress):
            calls.append(progress.step)
            return "stop" if progress.step >= 3 else None

        return observed

    run = train(RunSpec(**CHEAP, models=3, log_every=1), observe=observe)
    assert run.summary["ended_by_observer"]
    assert (run.summary["nets"], run.summary["steps"]) == (1, 3)


def test_a_net_that_diverges_is_said():
    run = train(RunSpec(data="digits", hidden=(8,), lr=1e30, epochs=1, models=2))
    assert run.status == "diverged"
    assert (run.summary["nets"], run.summary["history_of_net"]) == (1, 1)


def test_the_history_is_of_the_net_that_ended_the_run():
    spec = RunSpec(data="digits", hidden=(8,), lr=0.1, epochs=1, models=3)
    split = load_for(spec, None)
    spec = resolved(spec, split)
    ends = iter(["finished", "diverged"])
    with torch.random.fork_rng():
        _, found = train_others(
            *(spec, split, prepare(spec, split), Outcome(kept_epoch=1)),
            lambda job, net, told: Outcome(next(ends), step=net),
            lambda progress: None,
            None,
        )
    assert (found.status, found.step, found.net) == ("diverged", 2, 3)


@pytest.fixture
def table(tmp_path):
    random = np.random.default_rng(0)
    x = random.normal(size=120)
    lines = [f"{at},{value},{'ab'[at % 2]},{2 * value + at % 2}" for at, value in enumerate(x)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["time,x,group,y", *lines]))
    return str(path)


def rows_of(part):
    return sorted(map(tuple, torch.column_stack([part.x, part.y]).tolist()))


def test_each_net_of_a_table_is_chosen_on_rows_of_its_own(table):
    spec = RunSpec(data=table, target="y", drop=("group",), hidden=(8,), epochs=3)
    split = load_for(spec, None)
    nets = [split_of(spec, split, net) for net in range(spec.models)]
    everything = rows_of(joined(split.train, split.validation))
    for net in nets:
        assert rows_of(joined(net.train, net.validation)) == everything
        assert net.test is split.test
    validating = [row for net in nets for row in rows_of(net.validation)]
    assert len(set(validating)) == len(validating)

    run = train(spec)
    kept = []
    for net in range(spec.models):
        seeded = resolved(spec, split).model_copy(update={"seed": seed_of(0, net)})
        with torch.random.fork_rng():
            found = native.execute(prepare(seeded, split_of(spec, split, net), None, net))
        kept.append(found.evaluation[found.kept_epoch - 1])
    assert run.summary["kept_epochs"] == [row.epoch for row in kept]
    assert run.summary["final"]["validation_loss"] == pytest.approx(
        np.mean([row.validation_loss for row in kept])
    )


@pytest.mark.parametrize("options", [{"split": "time"}, {"measure": "train-loss"}])
def test_rows_that_are_held_for_a_reason_stay_held(table, options):
    spec = RunSpec(data=table, target="y", **options)
    split = load_for(spec, None)
    assert split_of(spec, split, 1) is split
    assert not takes_turns(spec.model_copy(update={"split": "random", "group": "group"}), split)
