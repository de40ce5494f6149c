"""A run on a slice of Fashion-MNIST against the plain PyTorch script of the same."""

import gzip
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from gradus import kernels
from gradus.runs.spec import RunSpec
from gradus.runs.train import train

HOME = Path(__file__).parents[3] / "shared" / "data" / "fashion-mnist"
FILES = {
    "train-images-idx3-ubyte": (2000, (28, 28)),
    "train-labels-idx1-ubyte": (2000, ()),
    "t10k-images-idx3-ubyte": (1000, (28, 28)),
    "t10k-labels-idx1-ubyte": (1000, ()),
}
EPOCHS, LOG_EVERY = 2, 10


def source():
    """The folder of the real files, where there is one."""
    given = os.environ.get("GRADUS_DATA")
    places = [HOME] if given is None else [Path(given), Path(given) / "fashion-mnist", HOME]
    return next((place for place in places if (place / f"{next(iter(FILES))}.gz").exists()), None)


@pytest.fixture(scope="module")
def slices():
    """The first examples of each file, as tensors of bytes."""
    folder = source()
    if folder is None:
        pytest.skip("Fashion-MNIST is neither in ../shared/data nor in $GRADUS_DATA")
    found = {}
    for name, (count, shape) in FILES.items():
        header = 8 + 4 * len(shape)
        with gzip.open(folder / f"{name}.gz") as file:
            content = file.read(header + count * torch.Size(shape).numel())
        values = torch.frombuffer(bytearray(content[header:]), dtype=torch.uint8)
        found[name] = values.reshape(count, *shape)
    return found


@pytest.fixture(scope="module")
def folder(slices, tmp_path_factory):
    """The same as a folder of IDX files."""
    folder = tmp_path_factory.mktemp("slice")
    for name, values in slices.items():
        sizes = b"".join(size.to_bytes(4) for size in values.shape)
        header = bytes([0, 0, 8, values.ndim]) + sizes
        (folder / name).write_bytes(header + values.numpy().tobytes())
    return folder


def plain_pytorch(slices, optimizer, batch_size, dtype):
    """The script: what every line of the history and of the evaluation should be."""
    x, y, test_x, test_y = (slices[name] for name in FILES)
    x, y = x.unsqueeze(1).to(dtype) / 255, y.long()
    test_x, test_y = test_x.unsqueeze(1).to(dtype) / 255, test_y.long()
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 512),
        nn.ReLU(),
        nn.Linear(512, 512),
        nn.ReLU(),
        nn.Linear(512, 10),
    ).to(dtype)
    loss_function = nn.CrossEntropyLoss()
    stepper = optimizer(model.parameters())
    batches = list(zip(x.split(batch_size), y.split(batch_size), strict=True))
    history, evaluation = [], []
    for epoch in range(1, EPOCHS + 1):
        for index, (images, labels) in enumerate(batches):
            loss = loss_function(model(images), labels)
            if index % LOG_EVERY == 0:
                samples = (epoch - 1) * len(x) + index * batch_size + len(images)
                history.append((epoch, samples, loss.item()))
            loss.backward()
            stepper.step()
            stepper.zero_grad()
        with torch.no_grad():
            output = model(test_x)
            correct = int((output.argmax(1) == test_y).sum())
            evaluation.append((loss_function(output, test_y).item(), correct / len(test_y)))
    return history, evaluation, model


def sgd(w):
    return torch.optim.SGD(w, lr=0.001, momentum=0.5)


def adam(w):
    return torch.optim.Adam(w, lr=0.001)


PIXELS = {"standardize": False, "models": 1}  # the script divides by 255, and trains one net
SGD = {"method": "sgd", "lr": 0.001, "momentum": 0.5, "batch_size": 16, **PIXELS}
ADAM = {"method": "adam", "lr": 0.001, "batch_size": 64, **PIXELS}
without_kernels = pytest.mark.skipif(kernels.core() is None, reason=str(kernels.absence()))


@pytest.mark.parametrize(
    ("options", "optimizer", "tolerance"),
    [
        # Ten units in the last place of float32: the mean of a batch is summed in another order.
        # So small steps let nothing grow.
        pytest.param({**SGD, "engine": "eager"}, sgd, 10 * 2.0**-23, id="sgd-eager"),
        pytest.param(
            {**SGD, "engine": "native"}, sgd, 10 * 2.0**-23, id="sgd-native", marks=without_kernels
        ),
        pytest.param({**ADAM, "engine": "eager"}, adam, 10 * 2.0**-23, id="adam-eager"),
        # Where a gradient is nearly 0 its sign decides, and dividing by sqrt(v) lets the roundings
        # of products that are summed in another order grow: in float64 they stay small.
        pytest.param(
            {**ADAM, "engine": "native", "dtype": "float64"},
            adam,
            1e-10,
            id="adam-native",
            marks=without_kernels,
        ),
    ],
)
def test_a_run_is_the_plain_script(slices, folder, options, optimizer, tolerance):
    dtype = getattr(torch, options.get("dtype", "float32"))
    history, evaluation, model = plain_pytorch(slices, optimizer, options["batch_size"], dtype)
    spec = RunSpec(
        data=str(folder),
        validation_fraction=0,
        hidden=(512, 512),
        sampling="sequential",
        seed=0,
        epochs=EPOCHS,
        log_every=LOG_EVERY,
        device="cpu",
        **options,
    )
    run = train(spec)

    rows = run.history.to_pylist()
    assert [(row["epoch"], row["samples"]) for row in rows] == [row[:2] for row in history]
    logged = [row["loss"] for row in rows]
    assert logged == pytest.approx([loss for _, _, loss in history], rel=tolerance)
    tests = run.evaluation.to_pylist()
    assert [row["test_loss"] for row in tests] == pytest.approx(
        [loss for loss, _ in evaluation], rel=tolerance
    )
    assert [row["test_accuracy"] for row in tests] == [accuracy for _, accuracy in evaluation]
    assert evaluation[-1][1] > 0.2  # it learned something: one class alone would give 0.1
    for ours, theirs in zip(run.model.parameters(), model.parameters(), strict=True):
        if options["engine"] == "eager":  # the same operations, to the last bit
            assert torch.equal(ours, theirs)
        else:
            torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
