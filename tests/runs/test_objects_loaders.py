"""A run in the order of a DataLoader."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import gradus
from gradus import InputError, train

RANDOM = np.random.default_rng(0)
X = torch.tensor(RANDOM.normal(size=(90, 4)), dtype=torch.float32)
Y = (X[:, 0] + X[:, 1] > 0).long()
TEST = (X[:20], Y[:20])
EXAMPLES = TensorDataset(X, Y)


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))


class Spy(nn.Module):
    """Remembers which examples it was trained on."""

    seen: ClassVar[list] = []  # of all copies

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, x):
        if self.training and isinstance(x, torch.Tensor):  # and no symbol, by which it is read
            self.seen.append(x.clone())
        return self.linear(x)


def same(one, other):
    return one.history.equals(other.history) and one.evaluation.equals(other.evaluation)


def test_a_loader_in_the_order_of_the_data_is_our_sequential_sampling():
    loader = DataLoader(EXAMPLES, batch_size=16)
    by_loader = train(loader, model=net(), validation=TEST, test=TEST, lr=0.1, epochs=2)
    data, held = gradus.data.Dataset(X, Y), gradus.data.Dataset(*TEST)
    given = {"sampling": "sequential", "batch_size": 16, "lr": 0.1, "epochs": 2}
    ours = train(data, model=net(), validation=held, test=held, engine="eager", **given)
    assert same(by_loader, ours)
    assert by_loader.spec.title == ours.spec.title
    assert by_loader.spec.sampling.startswith("object:torch.utils.data.DataLoader#")
    assert [by_loader.summary["data"][part] for part in ("train", "validation", "test")] == [
        90, 20, 20,
    ]  # fmt: skip


@pytest.mark.parametrize("workers", [{}, {"num_workers": 1, "persistent_workers": True}])
def test_the_order_is_that_of_the_loader_from_its_first_epoch_on(workers, monkeypatch):
    monkeypatch.setattr(Spy, "seen", [])
    loaders = [
        DataLoader(
            EXAMPLES, 30, shuffle=True, generator=torch.Generator().manual_seed(3), **workers
        )
        for _ in range(2)
    ]
    train(loaders[0], model=Spy(), test=TEST, lr=0.3, epochs=2)
    expected = [x for _ in range(2) for x, _ in loaders[1]]
    assert all(map(torch.equal, Spy.seen, expected))


def test_without_a_generator_the_seed_of_the_run_says_the_order():
    loader = DataLoader(EXAMPLES, 30, shuffle=True)
    runs = [train(loader, model=net(), test=TEST, seed=seed, epochs=2) for seed in (1, 1, 2)]
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_a_loader_may_drop_its_last_batch_and_draw_as_it_likes():
    dropping = DataLoader(EXAMPLES, 40, drop_last=True)
    assert train(dropping, model=net(), test=TEST, epochs=1).summary["samples"] == 80
    own = DataLoader(EXAMPLES, batch_sampler=[[0, 1], [2], [3, 4, 5]])
    run = train(own, model=net(), test=TEST, epochs=2, lr=0.1)
    assert run.history["samples"].to_pylist() == [2, 3, 6, 8, 9, 12]
    assert run.spec.title.endswith("bs-own")


def test_numbers_and_losses_of_ones_own_go_with_loaders():
    loader = DataLoader(TensorDataset(X, Y.float()), batch_size=16)
    given = {"model": nn.Linear(4, 1), "loss": nn.BCEWithLogitsLoss(), "epochs": 2}
    run = train(loader, test=DataLoader(TensorDataset(*TEST), 7), **given)
    assert run.summary["data"]["task"] == "classification"
    integers = train(DataLoader(EXAMPLES, batch_size=16), test=TEST, **given)
    assert integers.history.equals(run.history)


def test_whole_numbers_stay_so_for_an_embedding():
    words = torch.arange(90)[:, None] % 7
    model = nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(4, 2))
    test = (words[:20], Y[:20])
    loader = DataLoader(TensorDataset(words, Y), batch_size=30)
    by_loader = train(loader, model=model, test=DataLoader(TensorDataset(*test), 20), epochs=2)
    whole = gradus.data.Dataset(words, Y)
    given = {"sampling": "sequential", "batch_size": 30, "validation_fraction": 0, "epochs": 2}
    ours = train(whole, model=model, lr=0.001, test=gradus.data.Dataset(*test), **given)
    assert same(by_loader, ours)
    assert "whole numbers" in ours.summary["not_native"]


def test_a_run_in_the_order_of_a_loader_is_not_taken_up_again(tmp_path):
    loader = DataLoader(EXAMPLES, 30)
    train(loader, model=net(), test=TEST, epochs=1, out=tmp_path / "r")
    with pytest.raises(InputError, match=r"came in the order of torch.utils.data.DataLoader, "):
        gradus.resume(tmp_path / "r", data=loader, test=TEST, model=net(), epochs=2)


class Endless(IterableDataset):
    def __iter__(self):
        yield X[0], Y[0]


class Failing(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        raise OSError("the disk is gone")


LOADER = DataLoader(EXAMPLES, 30)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (LOADER, {"test": None}, "test: a DataLoader is not cut into parts; give the examples to"),
        (DataLoader(TensorDataset(X, Y, Y)), {}, "data: the loader yields 3 things; let it yield"),
        (DataLoader([{"x": 1}]), {}, "data: the loader yields a dict; let it yield x and y"),
        (DataLoader([("a", 1)]), {}, "data: the loader yields a tuple and a Tensor; let it yield"),
        (DataLoader(Endless()), {}, "data: the loader has no length; give its dataset a __len__"),
        (DataLoader([]), {}, "data: the loader yields no batch"),
        (DataLoader(Failing()), {}, "data: the loader fails: the disk is gone"),
        (DataLoader(TensorDataset(X / 0, Y)), {}, "data: x holds what is no finite number"),
        (LOADER, {"batch_size": 3}, "batch_size=3: an object says that already, as 30"),
        (LOADER, {"sampling": "full"}, "sampling=full: an object says that already, as torch"),
        (LOADER, {"engine": "native"}, "engine=native: the native engine does not run LoaderOrder"),
        (LOADER, {"validation_fraction": 0.2}, "validation_fraction=0.2: does not apply to a Data"),
        (LOADER, {"standardize": True}, "standardize=True: does not apply to a DataLoader; leave"),
        (LOADER, {"model": nn.Linear(3, 2)}, "model=torch.nn.Linear: fails on a batch of shape"),
        (LOADER, {"test": (X[:, :2], Y)}, "test: x of an example has shape [2], and ["),
        ((X, Y), {"test": LOADER}, "test: a DataLoader; give (X, y)"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(data, options, message):
    with pytest.raises(InputError) as caught:
        train(data, **{"model": net(), "test": TEST, "epochs": 1} | options)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def batches():
    for at in range(0, len(X), 16):
        yield X[at : at + 16], Y[at : at + 16]


ARRAYS = [(x.numpy(), y.numpy()) for x, y in batches()]


@pytest.mark.parametrize("data", [batches, ARRAYS, tuple(ARRAYS), DataLoader(EXAMPLES, 16)])
def test_an_iterable_of_batches_is_a_loader_of_them(data):
    given = {"model": net(), "test": TEST, "validation": batches, "lr": 0.1, "epochs": 2}
    run = train(data, length=6, **given)
    assert same(run, train(DataLoader(EXAMPLES, 16), **given))
    described = run.summary["data"]["description"]
    assert described.startswith("an iterable: 90 train + 90 validation + 20 test, 4 features")
    assert run.spec.sampling == run.spec.data
    if data is batches:
        assert run.spec.data.partition("#")[0].endswith("test_objects_loaders.batches")


def test_an_epoch_is_as_long_as_it_is_said_to_be():
    run = train(batches, length=3, model=net(), test=batches(), epochs=2)
    assert (run.summary["steps"], run.summary["samples"]) == (6, 96)
    assert run.summary["data"]["test"] == len(X)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (batches(), {}, "data: a generator is exhausted after one epoch; give the function that"),
        (batches, {"length": 9}, "data: gives 6 batches, where an epoch has length=9"),
        (batches, {"length": 0}, "length=0: give how many batches an epoch has, 1 at least"),
        (batches, {"length": None}, "data: a function; give (X, y), a dict with the keys x and y,"),
        (3, {}, "data: a int; give an iterable of batches, or a function of it"),
        (batches, {"test": None}, "test: an iterable is not cut into parts; give the examples to"),
        (lambda: [(X, Y, Y)], {"length": 1}, "data: the loader yields 3 things; let it yield x"),
        (lambda: 3, {}, "data: the loader fails: 'int' object is not iterable"),
        ("digits", {"test": None}, "length=6: is of an iterable of batches; leave it out"),
    ],
)
def test_what_is_wrong_with_an_iterable_is_said_in_one_line(data, options, message):
    with pytest.raises(InputError) as caught:
        train(data, **{"model": net(), "test": TEST, "length": 6, "epochs": 1} | options)
    assert str(caught.value).startswith(message)
