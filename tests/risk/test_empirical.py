"""The empirical risk against plain PyTorch: values, gradients, chunks, batches, nothing changed."""

import copy
import itertools

import pytest
import torch
from torch import nn

import gradus
from gradus import EmpiricalRisk
from gradus.data.dataset import Dataset
from gradus.data.sampling import Sampling
from gradus.risk.penalties import L1, L2, ElasticNet, SquaredL2
from gradus.risk.tensors import Tensors

N, FEATURES, CLASSES = 11, 6, 3

# The same sums of float64 in another order, of some hundred numbers of order 1.
TOLERANCE = {"rtol": 1e-10, "atol": 1e-12}


def close(got, expected):
    torch.testing.assert_close(got, expected, **TOLERANCE)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# Models, each a function that makes a fresh one.


class Tied(nn.Module):
    """One matrix under two names: out = tanh(x W) W^T."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(FEATURES, FEATURES, bias=False)
        self.decoder = nn.Linear(FEATURES, FEATURES)
        self.decoder.weight = self.encoder.weight
        self.head = nn.Linear(FEATURES, CLASSES)

    def forward(self, x):
        return self.head(self.decoder(self.encoder(x).tanh()))


def mlp():
    return nn.Sequential(nn.Linear(FEATURES, 5), nn.Tanh(), nn.Linear(5, CLASSES))


def conv():
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 3)),
        nn.Conv2d(1, 2, 2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4, CLASSES),
    )


def normalised():
    return nn.Sequential(
        nn.Linear(FEATURES, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, CLASSES)
    )


def dropped():
    return nn.Sequential(nn.Linear(FEATURES, 5), nn.Dropout(0.5), nn.ReLU(), nn.Linear(5, CLASSES))


def frozen():
    model = mlp()
    model[0].weight.requires_grad_(False)
    model[2].bias.requires_grad_(False)
    return model


def one_matrix():
    return nn.Linear(FEATURES, CLASSES, bias=False)


class OneVector(nn.Module):
    """A single parameter that is itself a vector: w and its flat form are the same."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.randn(CLASSES))

    def forward(self, x):
        return x[:, :CLASSES] * self.scale


def linear():
    return nn.Linear(FEATURES, CLASSES)


MODELS = (linear, mlp, conv, normalised, dropped, frozen, Tied, one_matrix, OneVector)
IN_EVAL = (dropped, normalised)


def build(make, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = make().double()
        for name, buffer in model.named_buffers():
            if buffer.is_floating_point():  # running statistics that are not the initial ones
                buffer.copy_(torch.rand_like(buffer) + (0.5 if "var" in name else -0.5))
    return model.eval() if make in IN_EVAL else model


# Losses: ours, what torch.nn makes of it, and the targets.

WEIGHT = torch.tensor([0.5, 2.0, 1.25], dtype=torch.float64)
INDICES = torch.randint(CLASSES, (N,), generator=generator(1))
WITH_HOLES = INDICES.where(torch.arange(N) % 3 != 0, 1)
NUMBERS = torch.randn(N, CLASSES, generator=generator(2), dtype=torch.float64)
PROBABILITIES = NUMBERS.softmax(1)


LOSSES = {
    "mse": (gradus.MSELoss(), nn.MSELoss(), NUMBERS),
    "l1": (gradus.L1Loss(), nn.L1Loss(), NUMBERS),
    "huber": (gradus.HuberLoss(delta=0.5), nn.HuberLoss(delta=0.5), NUMBERS),
    "mse-sum": (gradus.MSELoss(reduction="sum"), nn.MSELoss(reduction="sum"), NUMBERS),
    "kl-batchmean": (
        gradus.KLDivLoss(reduction="batchmean"),
        nn.KLDivLoss(reduction="batchmean"),
        PROBABILITIES,
    ),
    "kl-mean": (
        gradus.KLDivLoss(reduction="mean"),
        lambda x, y: nn.functional.kl_div(x, y, reduction="none").mean(),
        PROBABILITIES,
    ),
    "cross-entropy": (gradus.CrossEntropyLoss(), nn.CrossEntropyLoss(), INDICES),
    "cross-entropy-weight": (
        gradus.CrossEntropyLoss(weight=WEIGHT),
        nn.CrossEntropyLoss(weight=WEIGHT),
        INDICES,
    ),
    "cross-entropy-ignore": (
        gradus.CrossEntropyLoss(ignore_index=1),
        nn.CrossEntropyLoss(ignore_index=1),
        WITH_HOLES,
    ),
    "cross-entropy-all": (
        gradus.CrossEntropyLoss(weight=WEIGHT, ignore_index=1, label_smoothing=0.2),
        nn.CrossEntropyLoss(weight=WEIGHT, ignore_index=1, label_smoothing=0.2),
        WITH_HOLES,
    ),
    "cross-entropy-sum": (
        gradus.CrossEntropyLoss(weight=WEIGHT, reduction="sum"),
        nn.CrossEntropyLoss(weight=WEIGHT, reduction="sum"),
        INDICES,
    ),
    "cross-entropy-probabilities": (
        gradus.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.1),
        nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.1),
        PROBABILITIES,
    ),
    "nll-weight-ignore": (  # a sum of the outputs at the targets, whether or not they are logs
        gradus.NLLLoss(weight=WEIGHT, ignore_index=1),
        nn.NLLLoss(weight=WEIGHT, ignore_index=1),
        WITH_HOLES,
    ),
    "torch": (nn.CrossEntropyLoss(label_smoothing=0.1), None, INDICES),
    "torch-sum": (nn.MSELoss(reduction="sum"), None, NUMBERS),
    "callable": (lambda x, y: (x - y).abs().pow(1.5).mean(), None, NUMBERS),
}


def risk_of(make, loss, penalty=None, **options):
    ours, theirs, y = LOSSES[loss]
    x = torch.randn(N, FEATURES, generator=generator(3), dtype=torch.float64)
    risk = EmpiricalRisk(build(make), ours, (x, y), penalty, **options)
    return risk, theirs or ours, x, y


def somewhere(risk, seed=4):
    return torch.randn(risk.dimension, generator=generator(seed), dtype=torch.float64)


def in_plain_pytorch(model, loss, x, y, w):
    """The value and the flat gradient, by loading w into a copy and calling backward."""
    model = copy.deepcopy(model)
    moving = [p for p in model.parameters() if p.requires_grad]
    nn.utils.vector_to_parameters(w, moving)
    value = loss(model(x), y)
    value.backward()
    return value.detach(), torch.cat([p.grad.reshape(-1) for p in moving])


def as_list(risk, w):
    shapes = [p.shape for p in risk.model.parameters() if p.requires_grad]
    pieces = w.split([shape.numel() for shape in shapes])
    return Tensors([piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True)])


every_model = pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__.lower())
every_loss = pytest.mark.parametrize("loss", LOSSES)


@every_model
@every_loss
def test_value_and_gradient_are_those_of_plain_pytorch(make, loss):
    risk, reference, x, y = risk_of(make, loss)
    w = somewhere(risk)
    value, gradient = in_plain_pytorch(risk.model, reference, x, y, w)
    close(risk.value(w), value)
    close(risk.gradient(w), gradient)
    both = risk.value_and_gradient(w)
    close(both[0], value)
    close(both[1], gradient)
    assert not both[0].requires_grad
    assert not both[1].requires_grad


@every_model
def test_the_parameters_as_a_list_are_the_same_point(make):
    risk, *_ = risk_of(make, "cross-entropy", ElasticNet(0.3))
    w = somewhere(risk)
    listed = as_list(risk, w)
    close(risk.value(listed), risk.value(w))
    gradient = risk.gradient(listed)
    assert [g.shape for g in gradient.values] == [v.shape for v in listed.values]
    close(gradient.flat(), risk.gradient(w))
    value, gradient = risk.value_and_gradient(listed, slice(2, 7))
    close(value, risk.value(w, slice(2, 7)))
    close(gradient.flat(), risk.gradient(w, slice(2, 7)))


@every_loss
@pytest.mark.parametrize("chunk_size", [1, 3, 4, N - 1, N, N + 5])
def test_the_whole_data_in_chunks_is_exact(loss, chunk_size):
    """N = 11: the last chunk is smaller, and where targets are ignored some chunks have none."""
    risk, reference, x, y = risk_of(mlp, loss, chunk_size=chunk_size)
    w = somewhere(risk)
    value, gradient = in_plain_pytorch(risk.model, reference, x, y, w)
    close(risk.value(w), value)
    close(risk.gradient(w), gradient)
    both = risk.value_and_gradient(w)
    close(both[0], value)
    close(both[1], gradient)
    close(risk.gradient(as_list(risk, w)).flat(), gradient)
    leaf = w.clone().requires_grad_()
    (automatic,) = torch.autograd.grad(risk.value(leaf), leaf)
    close(automatic, gradient)


def test_where_every_target_is_ignored_the_risk_is_zero():
    x = torch.randn(5, FEATURES, dtype=torch.float64)
    loss = gradus.CrossEntropyLoss(ignore_index=-1)
    for chunk_size in (2, 5):
        risk = EmpiricalRisk(
            build(mlp), loss, (x, torch.full((5,), -1)), SquaredL2(0.5), chunk_size=chunk_size
        )
        w = somewhere(risk)
        assert risk.mean_loss(w) == 0
        close(risk.gradient(w), 0.5 * w)


@pytest.mark.parametrize("chunk_size", [2, 100])
@pytest.mark.parametrize("dataset", [False, True], ids=["pair", "dataset"])
def test_every_form_of_a_batch_is_the_same_examples(chunk_size, dataset):
    risk, reference, x, y = risk_of(mlp, "cross-entropy-weight", chunk_size=chunk_size)
    if dataset:
        data = Dataset(x, y, dtype=torch.float64)
        risk = EmpiricalRisk(risk.model, risk.loss, data, chunk_size=chunk_size)
    w = somewhere(risk)
    for batch, indices in (
        (torch.tensor([4, 0, 4, 9, 2]), [4, 0, 4, 9, 2]),
        (torch.tensor([7]), [7]),
        (slice(3, 8), range(3, 8)),
        (slice(None, None, 3), range(0, N, 3)),
        (slice(8, 100), range(8, N)),
        (slice(-4, -1), range(N - 4, N - 1)),
        ((x[1:6] + 1, y[2:7]), None),
        (None, range(N)),
    ):
        at = None if indices is None else list(indices)
        seen = (x[1:6] + 1, y[2:7]) if at is None else (x[at], y[at])
        value, gradient = in_plain_pytorch(risk.model, reference, *seen, w)
        close(risk.value(w, batch), value)
        close(risk.gradient(w, batch), gradient)


def test_the_mean_over_each_kind_of_batch_is_weighted_by_true_sizes():
    """The batches of one epoch cover D: averaged with their sizes they give the whole risk."""
    risk, *_ = risk_of(mlp, "mse")
    w = somewhere(risk)
    for name in ("shuffle", "sequential", "full"):
        batches = list(Sampling(name, n=N, batch_size=4, seed=1).epoch(0))
        sizes = [len(range(N)[b]) if isinstance(b, slice) else len(b) for b in batches]
        values = [risk.value(w, batch) for batch in batches]
        mean = sum(size * value for size, value in zip(sizes, values, strict=True)) / N
        close(mean, risk.value(w))


def snapshot(model):
    return {
        "parameters": [p.detach().clone() for p in model.parameters()],
        "buffers": {name: b.clone() for name, b in model.named_buffers()},
        "grads": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "requires_grad": [p.requires_grad for p in model.parameters()],
        "identity": [id(p) for p in model.parameters()] + [id(b) for b in model.buffers()],
        "training": [m.training for m in model.modules()],
    }


@every_model
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("with_grad", [False, True])
def test_nothing_of_the_model_is_changed(make, training, with_grad):
    risk, *_ = risk_of(make, "cross-entropy", L2(0.1), chunk_size=4)
    risk.model.train(training)
    if with_grad:
        for p in risk.model.parameters():
            p.grad = torch.full_like(p, 0.25)
    before = snapshot(risk.model)
    for w in (somewhere(risk), as_list(risk, somewhere(risk)), risk.point, risk.parameters):
        for batch in (None, slice(0, 3), torch.tensor([1, 2])):
            risk.value(w, batch)
            risk.gradient(w, batch)
            risk.value_and_gradient(w, batch)
    torch.testing.assert_close(snapshot(risk.model), before, rtol=0, atol=0)


def test_buffers_move_as_in_training_only_where_asked():
    for update in (False, True):
        risk, reference, x, y = risk_of(normalised, "cross-entropy", update_buffers=update)
        risk.model.train()
        reference_model = copy.deepcopy(risk.model)
        start = copy.deepcopy(dict(risk.model.named_buffers()))
        w = somewhere(risk)
        value, _ = risk.value_and_gradient(w, slice(0, 5))
        nn.utils.vector_to_parameters(w, reference_model.parameters())
        close(value, reference(reference_model(x[:5]), y[:5]).detach())
        expected = dict(reference_model.named_buffers()) if update else start
        got = dict(risk.model.named_buffers())
        assert not update or not torch.equal(got["1.running_mean"], start["1.running_mean"])
        assert got["1.num_batches_tracked"] == (1 if update else 0)
        torch.testing.assert_close(got, expected, **TOLERANCE)


def test_batch_normalisation_in_training_normalises_by_the_batch():
    risk, reference, x, y = risk_of(normalised, "cross-entropy")
    risk.model.train()
    w = somewhere(risk)
    value, gradient = in_plain_pytorch(risk.model, reference, x[:5], y[:5], w)
    close(risk.value(w, slice(0, 5)), value)
    close(risk.gradient(w, slice(0, 5)), gradient)
    risk.model.eval()
    assert not torch.allclose(risk.value(w, slice(0, 5)), value)


@pytest.mark.parametrize("penalty", [L1(0.3), L2(0.3), SquaredL2(0.3), ElasticNet(0.3, 0.4)])
@pytest.mark.parametrize("chunk_size", [4, 100])
def test_the_penalty_is_added_once(penalty, chunk_size):
    """Once for all chunks, to value and gradient; frozen parameters are not penalised."""
    risk, reference, x, y = risk_of(frozen, "mse", penalty, chunk_size=chunk_size)
    w = somewhere(risk)
    value, gradient = in_plain_pytorch(risk.model, reference, x, y, w)
    close(risk.mean_loss(w), value)
    close(risk.value(w), value + penalty.value(w))
    close(risk.gradient(w), gradient + penalty.gradient(w))
    close(risk.value_and_gradient(w)[0], value + penalty.value(w))
    loss, with_penalty = risk.loss_and_gradient(w)
    close(loss, value)
    close(with_penalty, gradient + penalty.gradient(w))
    leaf = w.clone().requires_grad_()
    (automatic,) = torch.autograd.grad(risk.value(leaf), leaf)
    close(automatic, gradient + penalty.gradient(w))


def test_the_smooth_part_is_one_risk_without_the_penalty():
    risk, _, _, _ = risk_of(mlp, "mse", L1(0.3), chunk_size=4)
    w = somewhere(risk)
    assert risk.smooth is risk.smooth
    assert risk.smooth.smooth is risk.smooth
    assert risk.smooth.penalty is None
    close(risk.smooth.value(w), risk.mean_loss(w))


@pytest.mark.parametrize("penalty", [L1(0.3), L2(0.3), SquaredL2(0.3), ElasticNet(0.3, 0.4)])
def test_at_a_kink_the_penalty_adds_the_subgradient_zero(penalty):
    risk, reference, x, y = risk_of(linear, "mse", penalty)
    w = torch.zeros(risk.dimension, dtype=torch.float64)
    _, gradient = in_plain_pytorch(risk.model, reference, x, y, w)
    close(risk.gradient(w), gradient)
    close(risk.gradient(as_list(risk, w)).flat(), gradient)


def test_the_hessian_of_least_squares_is_that_of_its_normal_equations():
    """f = 1/n |X A^T + 1 b^T - Y|^2 over n = N C elements: H = 2/n (X, 1)^T (X, 1) per output."""
    for chunk_size in (3, N):
        risk, _, x, _ = risk_of(linear, "mse", SquaredL2(0.7), chunk_size=chunk_size)
        w = somewhere(risk)
        hessian = torch.autograd.functional.jacobian(risk.gradient, w)
        extended = torch.cat([x, torch.ones(N, 1, dtype=x.dtype)], dim=1)
        block = 2 / (N * CLASSES) * extended.T @ extended
        expected = torch.zeros(risk.dimension, risk.dimension, dtype=torch.float64)
        for c in range(CLASSES):
            at = [*range(c * FEATURES, (c + 1) * FEATURES), CLASSES * FEATURES + c]
            expected[torch.tensor(at)[:, None], torch.tensor(at)] = block
        expected += 0.7 * torch.eye(risk.dimension, dtype=torch.float64)
        for got in (hessian, risk.hessian(w), risk.gauss_newton(w)):
            close(got, expected)
        close(risk.hvp(w, w), expected @ w)


@pytest.mark.parametrize("penalty", [None, L2(0.3), ElasticNet(0.3)])
@pytest.mark.parametrize("chunk_size", [4, N])
def test_gradient_and_value_are_differentiable(penalty, chunk_size):
    """Against central differences; the products with v are what a Newton method needs."""
    risk, *_ = risk_of(mlp, "cross-entropy-all", penalty, chunk_size=chunk_size)
    w = somewhere(risk).requires_grad_()
    assert torch.autograd.gradcheck(risk.value, w, fast_mode=True)
    assert torch.autograd.gradcheck(risk.gradient, w, fast_mode=True)
    assert torch.autograd.gradcheck(lambda w: risk.value_and_gradient(w)[0], w, fast_mode=True)
    v = somewhere(risk, seed=9)
    (flat,) = torch.autograd.grad(risk.gradient(w) @ v, w)
    leaves = [value.clone().requires_grad_() for value in as_list(risk, w.detach()).values]
    product = (risk.gradient(Tensors(leaves)) * as_list(risk, v)).sum()
    listed = torch.autograd.grad(product, leaves)
    close(Tensors(listed).flat(), flat)


def test_no_graph_is_kept_where_none_is_asked_for():
    risk, *_ = risk_of(mlp, "cross-entropy", L1(0.1))
    w = somewhere(risk).requires_grad_()
    with torch.no_grad():
        assert not risk.value(w).requires_grad
        assert not risk.gradient(w).requires_grad
    assert risk.value(w).requires_grad
    assert risk.gradient(w).requires_grad
    assert not risk.value(w.detach()).requires_grad


@every_model
def test_assign_puts_the_model_at_w(make):
    risk, *_ = risk_of(make, "cross-entropy")
    start = risk.point
    assert start.shape == (risk.dimension,)
    moving = [p for p in risk.model.parameters() if p.requires_grad]
    fixed = [p.clone() for p in risk.model.parameters() if not p.requires_grad]
    identity = [id(p) for p in risk.model.parameters()]
    assert torch.equal(start, nn.utils.parameters_to_vector(moving).detach())
    for w in (somewhere(risk), somewhere(risk, seed=5)):
        for form in (w, as_list(risk, w)):
            risk.assign(torch.zeros_like(w))
            risk.assign(form)
            assert torch.equal(risk.point, w)
            assert torch.equal(nn.utils.parameters_to_vector(moving).detach(), w)
    assert not torch.equal(start, risk.point)
    assert identity == [id(p) for p in risk.model.parameters()]
    assert all(p.requires_grad and p.grad is None for p in moving)
    remaining = [p for p in risk.model.parameters() if not p.requires_grad]
    assert all(map(torch.equal, fixed, remaining))


def test_a_point_taken_from_the_model_does_not_follow_it():
    """A method may remember it: its w_{t-1} must stay when the model is put at w_t."""
    risk, *_ = risk_of(mlp, "cross-entropy")
    flat, listed = risk.point, risk.parameters
    before = flat.clone()
    risk.assign(somewhere(risk))
    assert torch.equal(flat, before)
    assert torch.equal(listed.flat(), before)
    assert not listed.requires_grad


@pytest.mark.parametrize("make", [mlp, linear, one_matrix, OneVector])
@pytest.mark.parametrize("change", [-1, 1])
def test_a_w_of_the_wrong_length_is_refused(make, change):
    risk, *_ = risk_of(make, "mse")
    w = torch.zeros(risk.dimension + change, dtype=torch.float64)
    said = rf"^w has shape \({len(w)},\), but must be \({risk.dimension},\)$"
    for call in (risk.value, risk.gradient, risk.value_and_gradient, risk.assign):
        with pytest.raises(ValueError, match=said):
            call(w)


@pytest.mark.parametrize("wrong", ["fewer", "more", "another shape"])
def test_a_list_of_the_wrong_shapes_is_refused(wrong):
    risk, *_ = risk_of(mlp, "mse")
    values = list(risk.parameters.values)
    values = {
        "fewer": values[:-1],
        "more": [*values, values[0]],
        "another shape": [*values[:-1], values[-1][:1]],
    }[wrong]
    for call in (risk.value, risk.gradient, risk.assign):
        with pytest.raises(ValueError, match=r"^w has shape .*, but must be \(\d+,\)$"):
            call(Tensors(values))


def test_what_cannot_be_a_risk_is_refused():
    x, y = torch.randn(4, FEATURES), torch.randn(4, CLASSES)
    model = linear()
    with pytest.raises(ValueError, match=r"^x holds 4 examples but y holds 3$"):
        EmpiricalRisk(model, gradus.MSELoss(), (x, y[:3]))
    with pytest.raises(ValueError, match=r"^the data hold no examples$"):
        EmpiricalRisk(model, gradus.MSELoss(), (x[:0], y[:0]))
    with pytest.raises(ValueError, match=r"^the data hold 1 things: give a pair, x and y$"):
        EmpiricalRisk(model, gradus.MSELoss(), (x,))
    with pytest.raises(ValueError, match=r"^loss mse: give a loss of gradus or torch.nn, or a"):
        EmpiricalRisk(model, "mse", (x, y))
    with pytest.raises(ValueError, match=r'^the loss has reduction="none"'):
        EmpiricalRisk(model, gradus.MSELoss(reduction="none"), (x, y))
    for size in (0, -1):
        with pytest.raises(ValueError, match=rf"^chunk_size must be at least 1, not {size}$"):
            EmpiricalRisk(model, gradus.MSELoss(), (x, y), chunk_size=size)
    with pytest.raises(ValueError, match=r"nothing to move$"):
        EmpiricalRisk(nn.Flatten(), gradus.MSELoss(), (x, y))
    with pytest.raises(ValueError, match=r"nothing to move$"):
        EmpiricalRisk(linear().requires_grad_(False), gradus.MSELoss(), (x, y))
    risk = EmpiricalRisk(model, lambda output, y: (output - y).mean(1), (x, y))
    with pytest.raises(ValueError, match=r"^a loss must give one number, .* shape \(4,\)$"):
        risk.value(risk.point)


# The mini-batch gradient as a random variable, by enumeration of all its values.


def per_example(risk, w):
    return torch.stack([risk.gradient(w, torch.tensor([i])) for i in range(len(risk.data))])


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("replacement", [True, False])
def test_the_mini_batch_gradient_is_unbiased_with_the_variance_of_its_sampling(size, replacement):
    """Variance sigma^2 / B with replacement, sigma^2 / B (N - B) / (N - 1) without.

    sigma^2 is the variance of the gradient of one example, summed over coordinates.
    """
    n = 5
    x = torch.randn(n, FEATURES, generator=generator(6), dtype=torch.float64)
    risk = EmpiricalRisk(build(mlp), gradus.CrossEntropyLoss(), (x, INDICES[:n]))
    w = somewhere(risk)
    full = risk.gradient(w)
    sigma2 = (per_example(risk, w) - full).square().sum() / n
    if replacement and size > 3:  # 5^5 batches: draw all their sums from the single gradients
        one = per_example(risk, w)
        draws = torch.tensor(list(itertools.product(range(n), repeat=size)))
        gradients = one[draws].mean(dim=1)
        checked = draws[::500]
        close(torch.stack([risk.gradient(w, batch) for batch in checked]), gradients[::500])
    else:
        choose = (
            itertools.product(range(n), repeat=size)
            if replacement
            else itertools.combinations(range(n), size)
        )
        gradients = torch.stack([risk.gradient(w, torch.tensor(batch)) for batch in choose])
    close(gradients.mean(dim=0), full)
    variance = (gradients - full).square().sum() / len(gradients)
    close(variance, sigma2 / size * (1 if replacement else (n - size) / (n - 1)))


@pytest.mark.parametrize("epoch", range(3))
def test_over_an_epoch_the_mini_batch_gradients_average_to_the_full_one(epoch):
    risk, *_ = risk_of(mlp, "cross-entropy")
    ten = EmpiricalRisk(risk.model, risk.loss, (risk.data.x[:10], risk.data.y[:10]))
    w = somewhere(ten)
    batches = Sampling("shuffle", n=10, batch_size=2, seed=5).epoch(epoch)
    gradients = torch.stack([ten.gradient(w, batch) for batch in batches])
    close(gradients.mean(dim=0), ten.gradient(w))
