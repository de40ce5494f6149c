"""What is wrong with data is found, and is told as what it is; data that only look odd are not."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import gradus
from gradus.data.dataset import Dataset, Split
from gradus.diagnosis.case import case_of
from gradus.diagnosis.causes import all_causes
from gradus.diagnosis.causes.fit import widened
from gradus.diagnosis.causes.targets import suspected_labels
from gradus.diagnosis.evidence import Evidence
from gradus.diagnosis.forest import unseen
from gradus.diagnosis.replay import replay
from gradus.methods import SGD
from tests.diagnosis.planted import CLASSES, blobs, net, numbers, split, trained


def of(x, y, held=60, classes=CLASSES):
    data = Dataset(x, y, classes=classes)
    return Split(data.subset(slice(0, len(x) - held)), data.subset(slice(len(x) - held, len(x))),
                 "blobs", "classification")  # fmt: skip


def wide(n=240, columns=4):
    x, y = blobs(n)
    random = torch.Generator().manual_seed(1)
    return torch.cat([x, torch.randn(n, columns, generator=random)], dim=1), y


def shuffled():
    x, y = blobs()
    return of(x, y[torch.randperm(len(y), generator=torch.Generator().manual_seed(2))])


def leaking():
    x, y = wide()
    x[:, :2] += 2 * torch.randn(len(x), 2, generator=torch.Generator().manual_seed(3))
    x[:, 3] = y + 0.01 * x[:, 4]
    return of(x, y)


def doubled():
    given = split()
    return replace(given, test=given.train.subset(slice(0, 60)))


def apart():
    given = split()
    return replace(given, test=replace(given.test, x=2 * given.test.x + 3))


def extreme():
    x, y = wide()
    x[:6, 2] = 9999.0
    given = of(x, y, held=120)
    halves = [given.test.subset(slice(at, at + 60)) for at in (0, 60)]
    return replace(given, test=halves[0], validation=halves[1])


def flat():
    x, y = wide(columns=6)
    x[:, :2] = 0.0
    x[:, 3:6] = 1.0
    return of(x, y)


def noisy():
    random = torch.Generator().manual_seed(4)
    y = torch.arange(600) % 5
    x = 4 * torch.eye(5)[y] + torch.randn(600, 5, generator=random)
    wrong = torch.rand(len(y), generator=random) < 0.4
    y = torch.where(wrong, torch.randint(5, y.shape, generator=random), y)
    return of(x, y, classes=tuple("abcde"))


FACTS = {
    "constant target": {"data": numbers(scale=0.0), "model": "linear", "method": SGD(0.01)},
    "shuffled targets": {"data": shuffled()},
    "leak": {"data": leaking(), "model": "linear"},
    "duplicates between parts": {"data": doubled()},
    "parts drawn apart": {"data": apart()},
    "columns that never vary": {"data": flat(), "model": "linear"},
    "label noise": {"data": noisy(), "model": "linear"},
}


@pytest.mark.parametrize("cause", FACTS)
def test_a_fact_of_the_data_is_told_without_an_experiment(cause):
    finding = gradus.diagnose(trained(epochs=3, **FACTS[cause]), budget=3).confirmed[0]
    assert finding.cause == cause
    assert finding.experiment is None
    assert finding.figures
    assert finding.remedy.call


def test_who_knows_nothing_of_the_targets_suspects_no_label():
    x, y = torch.randn(2, 400, 5, generator=torch.Generator().manual_seed(8)).unbind(0)
    run = trained(of(x, y.argmax(1), classes=tuple("abcde")), model="linear", epochs=3)
    found = gradus.diagnose(run, budget=3)
    assert [each.cause for each in found.confirmed] == ["shuffled targets"]


def test_a_column_that_tells_the_target_is_named_as_in_the_table():
    random = np.random.default_rng(0)
    one, two = random.normal(size=(2, 300))
    price = one + random.normal(size=300)
    table = {"one": one, "two": two, "paid later": 3 * price + 1, "price": price}
    run = gradus.train(table, target="price", models=1, epochs=3)
    finding = gradus.diagnose(run, budget=3).confirmed[0]
    assert finding.cause == "leak"
    assert "Column paid later gives" in finding.sentence
    assert finding.remedy.call.endswith("as by --drop 'paid later'")


def in_order():
    x, y = blobs(900)
    x = x + torch.randn(x.shape, generator=torch.Generator().manual_seed(7))
    order = torch.cat([y[:600].argsort(stable=True), torch.arange(600, 900)])
    return of(x[order], y[order], held=300)


def by_heart():
    random = torch.Generator().manual_seed(5)
    x = torch.randn(450, 20, generator=random)
    y = (2 * x[:, 0] + torch.randn(450, generator=random) > 0).long()
    data = Dataset(x, y, classes=("a", "b"))
    parts = [data.subset(slice(*ends)) for ends in ((0, 50), (50, 250), (250, 450))]
    return Split(parts[0], parts[1], "noise", "classification", validation=parts[2])


def as_numbers():
    """Five classes in a plane, which no line has in their order, and their numbers."""
    random = torch.Generator().manual_seed(9)
    y = torch.arange(300) % 5
    angle = 1.2566 * (2 * y % 5)
    x = torch.stack([angle.cos(), angle.sin()], dim=1) + 0.1 * torch.randn(300, 2, generator=random)
    data = Dataset(x, y.float()[:, None])
    return Split(data.subset(slice(0, 200)), data.subset(slice(200, 300)), "five", "regression")


def marks():
    """Whole numbers that are numbers: one more where the input is larger, and chance."""
    random = torch.Generator().manual_seed(9)
    x = torch.randn(300, 2, generator=random)
    y = (2.5 + x[:, :1] + 0.7 * torch.randn(300, 1, generator=random)).round().clamp(0, 5)
    data = Dataset(x, y)
    return Split(data.subset(slice(0, 200)), data.subset(slice(200, 300)), "marks", "regression")


def far():
    x, y = blobs()
    return of(x + 20, y)


def lagging():
    norm = nn.BatchNorm1d(16, momentum=1e-5)
    return nn.Sequential(nn.Flatten(), nn.Linear(2, 16), norm, nn.ReLU(), nn.Linear(16, 3))


TRIED = {
    "classes taken for numbers": {
        "data": as_numbers(), "model": net(2, 16, 1), "method": SGD(0.05), "epochs": 8,
    },
    "batch norm out of step": {"data": far(), "model": lagging},
    "extreme values": {"data": extreme(), "model": "linear", "method": SGD(0.1)},
    "examples sorted by class": {
        "data": in_order(), "sampling": "sequential", "method": SGD(1.0), "epochs": 3,
    },
    "overfitting": {
        "data": by_heart(), "model": net(20, 64, 2), "method": SGD(0.5), "epochs": 40,
        "keep": "last",
    },
    "underfitting": {"model": net(2, 1, 3), "method": SGD(0.3)},
}  # fmt: skip


def test_a_run_that_keeps_its_best_epoch_does_not_go_on_too_long():
    # With patience it does so unasked.
    run = trained(**TRIED["overfitting"] | {"keep": None, "patience": 40})
    assert run.summary["kept"]["which"] == "best"
    assert "overfitting" not in [each.cause for each in gradus.diagnose(run, budget=5).findings]


@pytest.mark.parametrize("cause", TRIED)
def test_what_can_be_undone_is_undone(cause):
    finding = gradus.diagnose(trained(**TRIED[cause]), budget=5).confirmed[0]
    assert finding.cause == cause
    assert finding.experiment.exceeds_noise


@pytest.mark.parametrize(
    ("cause", "data", "outputs"),
    [("inputs not brought to scale", split((300.0, 0.3)), 3),
     ("classes taken for numbers", as_numbers(), 1)],
)  # fmt: skip
def test_a_change_of_the_data_is_one_of_the_held_examples_too(cause, data, outputs):
    data = replace(data, validation=data.test)
    case = case_of(trained(data, net(2, 16, outputs), SGD(0.05), epochs=3))
    evidence = Evidence(case, replay(case, math.inf))
    suspicion = next(each for each in all_causes() if each.name == cause).suspect(evidence)
    mended = case.mended(suspicion.changes)
    found = evidence.of_mended(mended, replay(mended, math.inf), math.inf)
    held, trial = found.held.batch(), case.trial(0, suspicion.changes).test.batch()
    assert all(torch.equal(*each) for each in zip(held, trial, strict=True))
    assert found.end <= found.reached < 1


def test_labels_that_are_suspected_are_left_out_of_the_whole_run_too():
    case = case_of(trained(noisy(), "linear", epochs=1))
    evidence = Evidence(case, replay(case, math.inf))
    change = next(each for each in all_causes() if each.name == "label noise").suspect(evidence)
    jobs = case.job(), case.mended(change.changes).job(), case.trial(0, change.changes)
    wrong = [float((job.train.x.argmax(1) != job.train.y).double().mean()) for job in jobs]
    assert max(wrong[1:]) < wrong[0] / 2


def test_marks_are_no_classes():
    found = gradus.diagnose(trained(marks(), model="linear", method=SGD(0.05)), budget=3)
    assert not found.confirmed


def test_rare_classes_that_are_missed_are_possible_only():
    x, y = blobs(1200)
    kept = torch.cat([torch.where(y < 2)[0], torch.where(y == 2)[0][::16]])
    kept = kept[torch.randperm(len(kept), generator=torch.Generator().manual_seed(6))]
    noise = torch.randn(len(kept), 2, generator=torch.Generator().manual_seed(7))
    run = trained(of(x[kept] + 2 * noise, y[kept], held=200), model="linear", method=SGD(0.1))
    found = gradus.diagnose(run, budget=3)
    assert [(each.cause, each.state) for each in found.findings] == [
        ("unbalanced classes", "possible")
    ]


def test_labels_are_suspected_where_they_are_wrong():
    x, y = blobs(600)
    wrong = torch.arange(len(y)) % 10 == 0
    given = torch.where(wrong, (y + 1 + torch.arange(len(y)) // 10 % 2) % 3, y)
    suspected, spread = suspected_labels(unseen(Dataset(x, given, classes=CLASSES)))
    suspected = torch.from_numpy(suspected)
    assert suspected[wrong].double().mean() > 0.7
    assert suspected[~wrong].double().mean() < 0.02
    assert spread == 1.0
    assert not suspected_labels(unseen(Dataset(x, y, classes=CLASSES)))[0].any()


def test_a_wider_model_is_one_of_the_same_layers():
    model = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(4, 2), torch.nn.Tanh(), torch.nn.Linear(2, 2),
        torch.nn.Tanh(), torch.nn.Linear(2, 3, bias=False),
    )  # fmt: skip
    made = widened(model, (8, 16))
    assert [tuple(p.shape) for p in made.parameters()] == [(8, 4), (8,), (16, 8), (16,), (3, 16)]
    assert made(torch.ones(5, 4)).shape == (5, 3)


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_a_forest_knows_of_a_rare_class_too_what_the_inputs_tell(share):
    """Where it is more than 2.5 errors, and targets in another order are within them."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(1000, 5, generator=random)
    score = x[:, 0] + torch.randn(1000, generator=random)
    y = (score > score.quantile(1 - share)).long()
    other = y[torch.randperm(len(y), generator=random)]
    for given, is_told in ((y, True), (other, False)):
        gain, error = unseen(Dataset(x, given, classes=("common", "rare"))).told
        assert (gain > 2.5 * error) is is_told
