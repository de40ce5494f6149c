"""Which jobs the native engine runs, and how it says what stands in the way of the others."""

import sys

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import gradus
from gradus import InputError, kernels
from gradus.data.dataset import Dataset
from gradus.data.sampling import Sampling
from gradus.engine import choose, eager, native
from gradus.engine.job import Job
from gradus.methods import SGD, Adam, Newton, Polyak, Proximal, ProximalGradient
from gradus.risk.penalties import L1, L2

N, FEATURES, CLASSES = 12, 4, 3

pytestmark = pytest.mark.skipif(kernels.core() is None, reason=str(kernels.absence()))


def job(*layers, **changes):
    random = torch.Generator().manual_seed(0)
    x = torch.randn(N, FEATURES, generator=random)
    y = torch.randint(CLASSES, (N,), generator=random)
    classes = Dataset(x, y, classes=("a", "b", "c"))
    if not layers:
        layers = (nn.Linear(FEATURES, CLASSES),)
    given = {
        "model": nn.Sequential(*layers),
        "loss": gradus.CrossEntropyLoss(),
        "penalty": None,
        "method": SGD(0.1, momentum=0.5),
        "train": classes,
        "test": classes,
        "sampling": Sampling("shuffle", n=N, batch_size=5),
        "epochs": 2,
        "log_every": 1,
        "seed": 0,
        "device": torch.device("cpu"),
        "dtype": torch.float32,
    }
    return Job(**(given | changes))


def linear(inputs=FEATURES, outputs=CLASSES, **options):
    return nn.Linear(inputs, outputs, **options)


def same_results(given, like):
    """Both engines move both models to the same place."""
    eager.execute(like)
    native.execute(given)
    for ours, theirs in zip(given.model.parameters(), like.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


RELU = nn.ReLU()
ACCEPTED = {
    "bare": lambda: linear(),
    "nested": lambda: nn.Sequential(
        nn.Sequential(nn.Flatten(), linear(4, 5)),
        nn.Identity(),
        nn.Sequential(nn.Tanh(), linear(5)),
    ),
    "one activation in two places": lambda: nn.Sequential(
        linear(4, 5), RELU, linear(5, 6), RELU, linear(6)
    ),
    "in place": lambda: nn.Sequential(linear(4, 5), nn.ReLU(inplace=True), linear(5)),
    "gelu": lambda: nn.Sequential(linear(4, 5), nn.GELU(), linear(5)),
    "gelu-tanh": lambda: nn.Sequential(linear(4, 5), nn.GELU("tanh"), linear(5)),
    "leaky": lambda: nn.Sequential(linear(4, 5), nn.LeakyReLU(0.2), linear(5)),
    "no bias": lambda: nn.Sequential(linear(4, 5, bias=False), nn.Sigmoid(), linear(5)),
    "two in a row": lambda: nn.Sequential(linear(4, 5), linear(5)),
    "log-softmax": lambda: nn.Sequential(linear(), nn.LogSoftmax(dim=1), nn.Identity()),
    "activation at the end": lambda: nn.Sequential(linear(), nn.Tanh()),
    "lazy, once it has seen data": lambda: built(nn.Sequential(nn.LazyLinear(CLASSES))),
    "sizes out of date": lambda: resized(linear(7, 9)),
}


def built(model):
    model(torch.zeros(1, FEATURES))
    return model


def resized(layer):
    layer.weight = nn.Parameter(torch.randn(CLASSES, FEATURES))
    layer.bias = nn.Parameter(torch.randn(CLASSES))
    return layer


@pytest.mark.parametrize("model", ACCEPTED.values(), ids=list(ACCEPTED))
def test_dense_networks_are_run_as_they_are(model):
    torch.manual_seed(0)
    ours = model()
    theirs = model()
    theirs.load_state_dict(ours.state_dict())
    given, like = job(model=ours), job(model=theirs)
    assert choose.chosen("auto", given) == choose.chosen("native", given) == ("native", None)
    assert choose.chosen("eager", given) == ("eager", None)
    same_results(given, like)


def hooked(register, *arguments):
    layer = linear()
    getattr(layer, register)(*arguments or (lambda *_: None,))
    return layer


def tied():
    first, second = linear(4, 4), linear(4, 4)
    second.weight = first.weight
    return first, second, linear()


def tied_biases():
    first, second = linear(4, 4), linear(4, 4)
    second.bias = first.bias
    return first, second, linear()


def replaced():
    layer = linear()
    layer.forward = lambda x: x[:, :CLASSES]
    return layer


def frozen(*names):
    layer = linear()
    for name in names:
        getattr(layer, name).requires_grad_(False)
    return layer


def with_more(module, kind="scale"):
    module.register_parameter(kind, nn.Parameter(torch.ones(1)))
    return module


def constant():
    """A weight that is no parameter."""
    layer = linear()
    weight = layer.weight.detach().clone()
    del layer.weight
    layer.weight = weight
    return layer


def one_bias():
    layer = linear()
    layer.bias = nn.Parameter(torch.zeros(1))
    return layer


class Doubled(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


class Counted(nn.Sequential):
    def forward(self, x):
        return super().forward(x) + 1


class Leaky(nn.ReLU):
    def forward(self, x):
        return torch.where(x < 0, 0.1 * x, x)


REFUSED_LAYERS = {
    "dropout of another kind": (lambda: (linear(), nn.AlphaDropout()), "layer 1 (AlphaDropout)"),
    "batch norm by every batch": (
        lambda: (nn.BatchNorm1d(4, track_running_stats=False), linear()),
        "layer 0 (BatchNorm1d) without running statistics",
    ),
    "layer norm over more": (
        lambda: (linear(), nn.LayerNorm((1, CLASSES))),
        "layer 1 (LayerNorm) over more than one dimension",
    ),
    "a norm of other width": (
        lambda: (linear(4, 5), nn.LayerNorm(6), linear(5)),
        "5 outputs where 6 are taken",
    ),
    "slopes of other width": (
        lambda: (linear(4, 5), nn.PReLU(6), linear(5)),
        "5 outputs where 6 are taken",
    ),
    "convolution": (lambda: (nn.Conv2d(1, 2, 3), linear()), "layer 0 (Conv2d)"),
    "deep inside": (
        lambda: (linear(4, 4), nn.Sequential(nn.ReLU(), nn.RReLU()), linear()),
        "layer 1.1 (RReLU)",
    ),
    "softmax": (lambda: (linear(), nn.Softmax(dim=1)), "layer 1 (Softmax)"),
    "log-softmax over examples": (
        lambda: (linear(), nn.LogSoftmax(dim=0)),
        "layer 1 (LogSoftmax)",
    ),
    "layer after log-softmax": (
        lambda: (linear(), nn.LogSoftmax(1), linear(3)),
        "layer 2 (Linear) after a LogSoftmax",
    ),
    "log-softmax after activation": (
        lambda: (linear(), nn.ReLU(), nn.LogSoftmax(1)),
        "layer 2 (LogSoftmax) right after another activation",
    ),
    "flatten later": (
        lambda: (linear(), nn.Flatten()),
        "layer 1 (Flatten): Flatten is taken first, from dimension 1 on",
    ),
    "flatten of examples": (
        lambda: (nn.Flatten(0), linear()),
        "layer 0 (Flatten): Flatten is taken first, from dimension 1 on",
    ),
    "a layer twice": (
        lambda: 2 * (linear(4, 4),),
        "layer 1 (Linear), which stands in the model twice",
    ),
    "tied weights": (tied, "layers that share their parameters"),
    "tied biases": (tied_biases, "layers that share their parameters"),
    "subclass of Linear": (
        lambda: (Doubled(4, 3),),
        "layer 0 (Doubled), whose forward calls mul",
    ),
    "subclass of Sequential": (
        lambda: (Counted(linear()),),
        "layer 0 (Counted), whose forward calls add",
    ),
    "subclass of ReLU": (
        lambda: (linear(), Leaky()),
        "layer 1 (Leaky), whose forward calls lt",
    ),
    "lazy": (lambda: (nn.LazyLinear(3),), "hooks (on 0)"),
    "all frozen": (lambda: (frozen("weight", "bias"),), "layers that are all frozen"),
    "weight no parameter": (
        lambda: (constant(),),
        "layer 0 (Linear) with a weight that is a Tensor",
    ),
    "one bias for all": (
        lambda: (one_bias(),),
        "layer 0 (Linear) with parameters of unusual shapes",
    ),
    "more parameters": (
        lambda: (with_more(linear()),),
        "the parameter 0.scale: it is of no layer that is called",
    ),
    "parameters elsewhere": (
        lambda: (with_more(nn.Identity()), linear()),
        "the parameter 0.scale: it is of no layer that is called",
    ),
    "sizes that do not follow": (
        lambda: (linear(4, 5), linear(6, 3)),
        "5 outputs where 6 are taken",
    ),
    "inputs that do not fit": (lambda: (linear(5, 3),), "4 inputs where 5 are taken"),
    "no layer": (lambda: (nn.Flatten(),), "a model without a Linear layer"),
    "forward hook": (lambda: (hooked("register_forward_hook"),), "hooks (on 0)"),
    "forward pre-hook": (lambda: (hooked("register_forward_pre_hook"),), "hooks (on 0)"),
    "backward hook": (lambda: (hooked("register_full_backward_hook"),), "hooks (on 0)"),
    "backward pre-hook": (lambda: (hooked("register_full_backward_pre_hook"),), "hooks (on 0)"),
    "forward replaced": (lambda: (replaced(),), "hooks (on 0)"),
    "weight norm": (
        lambda: (nn.utils.parametrizations.weight_norm(linear()),),
        "layer 0 (ParametrizedLinear)",
    ),
    "spectral norm": (lambda: (nn.utils.spectral_norm(linear()),), "hooks (on 0)"),
    "pruned": (
        lambda: (prune.l1_unstructured(linear(), "weight", 0.5),),
        "hooks (on 0)",
    ),
}


def is_refused(given, obstacle):
    """In one line by `native`; `auto` says why it is not native."""
    assert choose.chosen("auto", given) == ("eager", f"the native engine does not run {obstacle}")
    with pytest.raises(InputError) as refusal:
        choose.chosen("native", given)
    assert str(refusal.value) == (
        f"--engine native: the native engine does not run {obstacle}; use --engine eager, or auto"
    )


@pytest.mark.parametrize(("layers", "obstacle"), REFUSED_LAYERS.values(), ids=list(REFUSED_LAYERS))
def test_the_layer_that_stands_in_the_way_is_named(layers, obstacle):
    is_refused(job(*layers()), obstacle)


def test_a_hook_on_the_whole_model_or_on_all_models_is_seen():
    model = nn.Sequential(linear())
    model.register_forward_hook(lambda *_: None)
    is_refused(job(model=model), "hooks (on Sequential)")
    hook = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        is_refused(job(), "hooks (on Sequential)")
    finally:
        hook.remove()


class SlowSGD(SGD):
    def update(self, w, g, state):
        return super().update(w, 0.5 * g, state)


class TwiceProximal(Proximal):
    pass


class Twofold(gradus.CrossEntropyLoss):
    def forward(self, input, target):  # noqa: A002
        return 2 * super().forward(input, target)


class HalfL1(L1):
    def gradient(self, w):
        return super().gradient(w) * 0.5


class Noisy(Dataset):
    def batch(self, indices=None):
        x, y = super().batch(indices)
        return x + torch.randn_like(x), y


X, Y = torch.zeros(N, FEATURES), torch.zeros(N, CLASSES)
LABELS = torch.zeros(N, dtype=torch.int64)
REFUSED = {
    "second order": ({"method": Newton()}, "the method Newton"),
    "inside proximal": (
        {"method": Proximal(SlowSGD(0.1)), "penalty": L1(0.1)},
        "the method SlowSGD",
    ),
    "subclass of a method": ({"method": SlowSGD(0.1)}, "the method SlowSGD"),
    "subclass of proximal": (
        {"method": TwiceProximal(SGD(0.1)), "penalty": L1(0.1)},
        "the method TwiceProximal",
    ),
    "learning rate a tensor": (
        {"method": SGD(torch.tensor(0.1))},
        "SGD with lr a tensor",
    ),
    "momentum a tensor": (
        {"method": Polyak(0.1, torch.tensor(0.1))},
        "Polyak with momentum a tensor",
    ),
    "beta a tensor": (
        {"method": Adam(0.1, betas=(0.9, torch.tensor(0.99)))},
        "Adam with beta2 a tensor",
    ),
    "strength a tensor": ({"penalty": L2(torch.tensor(0.1))}, "L2 with strength a tensor"),
    "subclass of a loss": ({"loss": Twofold()}, "the loss Twofold"),
    "subclass of a penalty": ({"penalty": HalfL1(0.1)}, "the penalty HalfL1"),
    "no penalty": ({"method": ProximalGradient(0.1)}, "ProximalGradient without a penalty"),
    "no penalty inside": ({"method": Proximal(SGD(0.1))}, "Proximal without a penalty"),
    "device": ({"device": torch.device("cuda")}, "on cuda: it is for the CPU"),
    "dtype": ({"dtype": torch.bfloat16}, "numbers of torch.bfloat16"),
    "augmented data": ({"train": Noisy(X, LABELS)}, "Noisy, which may be another Dataset"),
    "augmented test data": ({"test": Noisy(X, LABELS)}, "Noisy, which may be another Dataset"),
    "images": (
        {"train": Dataset(X.reshape(N, 2, 2), LABELS)},
        "inputs of shape [2, 2] without a Flatten",
    ),
    "test inputs": ({"test": Dataset(X[:, :3], LABELS)}, "3 inputs where 4 are taken"),
    "loss of torch": ({"loss": nn.CrossEntropyLoss()}, "the loss CrossEntropyLoss"),
    "reduction": (
        {"loss": gradus.CrossEntropyLoss(reduction="none")},
        "CrossEntropyLoss with reduction none",
    ),
    "weights": (
        {"loss": gradus.CrossEntropyLoss(weight=torch.ones(2))},
        "CrossEntropyLoss with 2 class weights for 3 outputs",
    ),
    "classes": (
        {"train": Dataset(X, LABELS + 3)},
        "CrossEntropyLoss on targets that are no classes from 0 to 2",
    ),
    "negative classes": (
        {"train": Dataset(X, LABELS - 1)},
        "CrossEntropyLoss on targets that are no classes from 0 to 2",
    ),
    "classes for numbers": (
        {"loss": gradus.MSELoss()},
        "MSELoss on targets of shape [12], for 3 outputs",
    ),
    "other numbers": (
        {"loss": gradus.L1Loss(), "train": Dataset(X, Y[:, :2])},
        "L1Loss on targets of shape [12, 2], for 3 outputs",
    ),
    "probabilities": (
        {"loss": gradus.NLLLoss(), "train": Dataset(X, Y)},
        "NLLLoss on targets of shape [12, 3]",
    ),
    "ignored class with probabilities": (
        {"loss": gradus.CrossEntropyLoss(ignore_index=1), "train": Dataset(X, Y)},
        "CrossEntropyLoss with ignore_index 1 on probabilities",
    ),
}


@pytest.mark.parametrize(("changes", "obstacle"), REFUSED.values(), ids=list(REFUSED))
def test_what_else_stands_in_the_way_is_named(changes, obstacle):
    is_refused(job(**changes), obstacle)


def test_kernels_that_are_absent_are_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradus.kernels._core", None)
    kernels._load.cache_clear()
    try:
        reason = kernels.absence()
        assert choose.chosen("auto", job()) == ("eager", reason)
        with pytest.raises(InputError) as refusal:
            choose.chosen("native", job())
    finally:
        kernels._load.cache_clear()
    assert str(refusal.value) == f"--engine native: {reason}; use --engine eager, or auto"
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("engine", ["auto", "native"])
def test_kernels_that_are_forced_and_do_not_run_are_no_reason_to_take_others(engine, monkeypatch):
    monkeypatch.setenv("GRADUS_KERNELS", "neon")
    with pytest.raises(InputError, match=r"^GRADUS_KERNELS=neon: no such kernels were built"):
        choose.chosen(engine, job())
    assert choose.chosen("eager", job()) == ("eager", None)


@pytest.mark.parametrize(
    ("width", "batch_size", "times"),
    [(1, 1, 70), (40, 12, 70), (2_000, 12, (5, 20)), (20_000, 12, (5, 6)), (2**25, 12, 1.2)],
)
def test_eager_steps_cost_less_beside_native_ones_the_larger_they_are(width, batch_size, times):
    """As they were measured: small steps are calls, large ones arithmetic."""
    with torch.device("meta"):
        layers = linear(4, width), nn.Dropout(), linear(width)
    sampling = Sampling("shuffle", n=N, batch_size=batch_size)
    given = job(*layers, sampling=sampling)
    found = choose.times_native(given)
    least, most = times if isinstance(times, tuple) else (times, times)
    assert least <= found <= most
    assert choose.times_native(job(sampling=Sampling("full", n=N, batch_size=1))) == 70
    assert choose.times_native(job(method=Newton())) is None
