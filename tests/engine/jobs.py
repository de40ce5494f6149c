"""A small job, the path that the pure equation takes for it, and what of both is compared."""

import copy
import itertools

import torch
from torch import nn

import gradus
from gradus import EmpiricalRisk, minimize
from gradus.data.dataset import Dataset
from gradus.data.sampling import Sampling
from gradus.engine.job import Job
from gradus.methods import SGD

N, FEATURES, CLASSES, BATCH, EPOCHS = 20, 4, 3, 6, 3

# Two forms of one float64 computation over a dozen steps of a smooth problem.
TOLERANCE = {"rtol": 1e-10, "atol": 1e-10}


def data(n=N, seed=0, classes=("a", "b", "c"), scale=1.0):
    random = torch.Generator().manual_seed(seed)
    x = scale * torch.randn(n, FEATURES, generator=random, dtype=torch.float64)
    y = torch.randint(CLASSES, (n,), generator=random)
    return Dataset(x, y, classes=classes, dtype=torch.float64)


def fresh(*layers, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if not layers:
            return nn.Sequential(nn.Linear(FEATURES, 5), nn.Tanh(), nn.Linear(5, CLASSES)).double()
        return nn.Sequential(*(layer() for layer in layers)).double()


def job(**changes):
    sampling = changes.pop("sampling", "shuffle")
    if isinstance(sampling, str):
        sampling = Sampling(sampling, n=N, batch_size=BATCH, seed=7)
    given = {
        "model": fresh(),
        "loss": gradus.CrossEntropyLoss(),
        "penalty": None,
        "method": SGD(0.1, momentum=0.5),
        "train": data(),
        "test": data(n=7, seed=1),
        "sampling": sampling,
        "epochs": EPOCHS,
        "log_every": 1,
        "seed": 0,
        "device": torch.device("cpu"),
        "dtype": torch.float64,
    }
    return Job(**(given | changes))


def batches_of(job):
    epochs = (job.sampling.epoch(epoch) for epoch in range(job.epochs))
    return list(itertools.chain.from_iterable(epochs))


def size_of(batch):
    return len(range(N)[batch]) if isinstance(batch, slice) else len(batch)


def ground_truth(job):
    """The risk on a copy of the model, and the path of the method on the same batches."""
    risk = EmpiricalRisk(copy.deepcopy(job.model), job.loss, job.train, job.penalty)
    path = minimize(risk, risk.point, job.method, steps=job.steps, batches=batches_of(job))
    return risk, path


def where(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def close(got, expected):
    got, expected = (torch.as_tensor(value, dtype=torch.float64) for value in (got, expected))
    torch.testing.assert_close(got, expected, **TOLERANCE)
