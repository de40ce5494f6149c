"""The planted faults of the benchmark are what their names say, and undoing them leaves nothing."""

import numpy as np
import pytest

from benchmarks.doctor.follow import followed, options_of
from benchmarks.doctor.networks import Network, build, network_of
from benchmarks.doctor.plant import FAULTS
from benchmarks.doctor.score import share
from benchmarks.doctor.tasks import TASKS, half
from benchmarks.doctor.truth import helps

DIGITS = TASKS["digits, dense, sgd"]


def planted(name, severity=0.9, task=DIGITS):
    return FAULTS[name].plant(task.trial, severity, np.random.default_rng(0))


def test_the_tasks_are_halved_kind_by_kind():
    kinds = {task.kind for task in TASKS.values()}
    assert kinds == {"linear", "dense", "conv", "transformer"}
    assert len(TASKS) >= 20
    for kind in kinds:
        halves = [half(name) for name, task in TASKS.items() if task.kind == kind]
        assert abs(halves.count("tune") - halves.count("held")) <= 1


def test_faults_of_the_data_are_in_the_data():
    sound = DIGITS.trial.arrays
    assert np.array_equal(planted("raw pixels").arrays["x_test"], 255 * sound["x_test"])
    doubled = planted("duplicates between parts", 1.0).arrays
    rows = {row.tobytes() for row in doubled["x_train"]}
    assert all(row.tobytes() in rows for row in doubled["x_test"])
    mixed = planted("targets shuffled").arrays["y_train"]
    assert np.array_equal(np.sort(mixed), np.sort(sound["y_train"]))
    assert (mixed == sound["y_train"]).mean() < 0.2
    leak = planted("a column that is the target", 1.0).arrays
    assert np.corrcoef(leak["x_train"][:, 0], leak["y_train"])[0, 1] > 0.99


def test_faults_of_the_options_are_in_the_spec():
    high = planted("learning rate too high", 0.5).options["lr"]
    assert high / DIGITS.options["lr"] == pytest.approx((3 * 1000) ** 0.5)
    assert planted("sorted, in sequence").options["sampling"] == "sequential"
    assert planted("probabilities into NLL").options["loss"] == "nll"


@pytest.mark.parametrize(
    "net",
    [Network("dense", (4, 4), "tanh"), Network("conv", (4,), end="softmax", begin="times0p5"),
     Network("dense", (8,), dropout=0.25, dropping="always", frozen="body", bottleneck=2)],
)  # fmt: skip
def test_a_network_is_what_its_name_says(net):
    assert network_of(net.name) == net
    model = build(net, (1, 8, 8), 3)
    assert sum(p.requires_grad for p in model.parameters()) > 0
    assert (net.frozen == "body") == any(not p.requires_grad for p in model.parameters())


def test_following_the_remedy_undoes_the_fault():
    ended = planted("softmax before cross-entropy")
    words = "leave out the softmax at the end of the model"
    assert followed(ended, "output and loss do not fit", words).network == DIGITS.network
    slow = planted("learning rate too low")
    assert followed(slow, "learning rate too low", "run.train(lr=0.1)").options["lr"] == 0.1
    assert options_of("gradus.open_run('runs/a').train(lr=0.1, nesterov=True)") == {
        "lr": 0.1, "nesterov": True,
    }  # fmt: skip
    assert followed(slow, "leak", "leave column 3 out") is None


def test_what_helps_less_than_three_standard_errors_does_not_count():
    def of(*values):
        return [{"error": value} for value in values]

    assert helps(of(0.5, 0.6, 0.5), of(0.1, 0.1, 0.2))["counts"]
    assert not helps(of(0.5, 0.1, 0.3), of(0.1, 0.1, 0.2))["counts"]
    assert not helps(of(0.101, 0.101), of(0.1, 0.1))["counts"]


def test_a_share_is_told_with_its_interval():
    rows = [{"task": str(number % 10), "right": number < 30} for number in range(40)]
    assert share(rows, lambda row: float(row["right"])).startswith("75 % (")
    assert share([], float) == "none"
