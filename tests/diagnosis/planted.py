"""Small problems in which one thing is wrong, or nothing is."""

import itertools

import torch

import gradus
from gradus.data.dataset import Dataset, Split

CLASSES = ("a", "b", "c")


def blobs(n=240, scale=1.0, seed=0):
    """Three clouds in the plane, well apart."""
    random = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 3
    centres = torch.tensor([[2.0, 0.0], [-1.0, 1.7], [-1.0, -1.7]])
    x = centres[y] + 0.5 * torch.randn(n, 2, generator=random)
    return x * scale, y


def split(scale=(1.0, 1.0), n=240):
    x, y = blobs(n)
    data = Dataset(x * torch.tensor(scale), y, classes=CLASSES)
    return Split(data.subset(slice(0, n - 60)), data.subset(slice(n - 60, n)), "blobs",
                 "classification")  # fmt: skip


def net(*widths, activation=torch.nn.Tanh):
    def make():
        layers = [torch.nn.Flatten()]
        for before, after in itertools.pairwise(widths):
            layers += [torch.nn.Linear(before, after), activation()]
        return torch.nn.Sequential(*layers[:-1])

    return make


def trained(data=None, model=None, method=None, **options):
    """A run on the clouds."""
    given = {"epochs": 15, "batch_size": 20} | options
    return gradus.train(
        split() if data is None else data,
        model=net(2, 8, 3) if model is None else model,
        method=gradus.methods.SGD(0.2, momentum=0.5) if method is None else method,
        **given,
    )


def numbers(shift=0.0, scale=1.0, n=240):
    """A number to predict from four."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(n, 4, generator=random)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5], [1.0]]) + 0.3 * torch.randn(n, 1, generator=random)
    data = Dataset(x, shift + scale * y)
    return Split(data.subset(slice(0, n - 60)), data.subset(slice(n - 60, n)), "numbers",
                 "regression")  # fmt: skip


def rings(n=240):
    """Two classes, one around the other: no line parts them."""
    random = torch.Generator().manual_seed(0)
    y = torch.arange(n) % 2
    angle, radius = 6.3 * torch.rand(n, generator=random), 0.5 + 1.5 * y
    x = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
    data = Dataset(x + 0.05 * torch.randn(n, 2, generator=random), y, classes=("in", "out"))
    return Split(data.subset(slice(0, n - 60)), data.subset(slice(n - 60, n)), "rings",
                 "classification")  # fmt: skip


def ending_in(last, *widths):
    """A net with one more module at its end."""
    return lambda: torch.nn.Sequential(*net(*(widths or (2, 8, 3)))(), last)


def zero():
    """A net whose parameters are all 0."""
    model = net(2, 16, 16, 3, activation=torch.nn.ReLU)()
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    return model


def silent():
    """A net whose units give 0 for every example."""
    model = net(2, 16, 3, activation=torch.nn.ReLU)()
    torch.nn.init.constant_(model[1].bias, -20.0)
    return model


def frozen():
    """A net whose first layer is held where it gives next to nothing."""
    model = net(2, 16, 3, activation=torch.nn.ReLU)()
    with torch.no_grad():
        model[1].weight.mul_(0.01)
    model[1].requires_grad_(False)
    return model


def bare():
    """Layers with nothing between."""
    layers = torch.nn.Linear(2, 16), torch.nn.Linear(16, 16), torch.nn.Linear(16, 2)
    return torch.nn.Sequential(torch.nn.Flatten(), *layers)


class Logarithm(torch.nn.Module):
    """Written as it stands on paper."""

    def forward(self, p):
        return p.log()


def naive():
    """A net that ends in the logarithm of a softmax, and begins with large outputs."""
    model = torch.nn.Sequential(*net(2, 3)(), torch.nn.Softmax(dim=1), Logarithm())
    with torch.no_grad():
        model[1].weight.mul_(60.0)
    return model


def alike_columns(noise=0.1, apart=1.0, n=240):
    """Two columns that are nearly one; how far they are ``apart`` tells a number, or they do."""
    random = torch.Generator().manual_seed(0)
    x, by = torch.randn(n, 2, generator=random).T
    x = torch.stack([x, x + 0.1 * by], dim=1)
    y = apart * by + (1 - apart) * x[:, 0] + noise * torch.randn(n, generator=random)
    data = Dataset(x, y[:, None])
    return Split(data.subset(slice(0, n - 60)), data.subset(slice(n - 60, n)), "alike",
                 "regression")  # fmt: skip
