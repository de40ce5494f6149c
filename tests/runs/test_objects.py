"""A run whose parts are objects: the same as by names, recorded by what identifies them."""

import inspect
import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import gradus
from gradus import InputError, RunSpec, open_run, train
from gradus.data import Dataset, load
from gradus.methods import FirstOrder
from gradus.runs.train import LOG
from gradus.runs.words import as_call

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(120, 4))
Y = (X[:, 0] + X[:, 1] > 0).astype(np.int64)
NUMBERS = X @ np.array([1.0, -1.0, 0.5, 0.0])
QUICK = {"epochs": 2, "lr": 0.1}
PROXIMAL_GROUPS = {
    "method": "sgd", "penalty": "l1", "strength": 0.1, "proximal": True,
    "parameters": [{"names": ["0"], "lr": 0.01}],
}  # fmt: skip


def net(outputs=2):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, outputs))


def normed(resting=False):
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2))
    model[0].train(not resting)
    return model


class Examples(torch.utils.data.Dataset):
    """A dataset of which nothing is known but its length and its examples."""

    def __init__(self, *columns):
        self.columns = columns

    def __len__(self):
        return len(self.columns[0])

    def __getitem__(self, index):
        return tuple(column[index] for column in self.columns)


class Descent(FirstOrder):
    """A method of the user's own."""

    lr = 0.1

    def init(self, w):
        return None

    def query(self, w, state):
        return w

    def update(self, w, g, state):
        return w - self.lr * g, None


def same(one, other):
    return one.history.equals(other.history) and all(
        torch.equal(p, q)
        for p, q in zip(one.model.parameters(), other.model.parameters(), strict=True)
    )


@pytest.fixture(scope="module")
def usual():
    return train((X, Y), model=net(), **QUICK)


FORMS = {
    "tensors": (torch.tensor(X), torch.tensor(Y)),
    "a list of both": [X, list(Y)],
    "a dict": {"x": X, "y": Y},
    "a TensorDataset": TensorDataset(torch.tensor(X), torch.tensor(Y)),
    "a torch Dataset": Examples(torch.tensor(X), torch.tensor(Y)),
    "a Dataset": Dataset(torch.tensor(X), torch.tensor(Y)),
}


@pytest.mark.parametrize("form", FORMS)
def test_data_are_the_same_in_every_form(usual, form):
    assert same(train(FORMS[form], model=net(), **QUICK), usual)


def test_arrays_are_what_a_file_of_them_is(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y, x_test=X[:9], y_test=Y[:9])
    # What nobody chose is classical for arrays in memory: whose model it is, is not known.
    named = train(RunSpec(data=str(tmp_path / "a.npz"), model="linear", auto=(), **QUICK))
    assert same(train((X, Y), test=(X[:9], Y[:9]), model="linear", **QUICK), named)
    arrays = {"x_train": X, "y_train": Y, "x_test": X[:9], "y_test": Y[:9]}
    assert same(train(arrays, model="linear", **QUICK), named)


@pytest.mark.parametrize("as_one", [tuple, lambda pair: Dataset(*map(torch.tensor, pair))])
def test_parts_given_apart_are_those_that_validate_and_test(as_one):
    parts = [as_one((X[at], Y[at])) for at in (slice(0, 80), slice(80, 100), slice(100, 120))]
    run = train(parts[0], validation=parts[1], test=parts[2], model=net(), **QUICK)
    data = run.summary["data"]
    assert [data[name] for name in ("train", "validation", "test")] == [80, 20, 20]
    with pytest.raises(InputError, match=r"^test_fraction=0.5: "):
        train(parts[0], test=parts[2], test_fraction=0.5)


def test_a_split_is_taken_as_it_is():
    named = train(RunSpec(model="linear", epochs=1))
    assert same(train(load("digits"), model="linear", epochs=1), named)


@pytest.mark.parametrize(
    ("objects", "named"),
    [
        ({"loss": nn.CrossEntropyLoss(label_smoothing=0.1)}, {"label_smoothing": 0.1}),
        ({"loss": gradus.CrossEntropyLoss()}, {}),
        ({"method": gradus.methods.Adam(0.01)}, {"method": "adam", "lr": 0.01}),
        ({"method": gradus.methods.Adam, "lr": 0.02}, {"method": "adam", "lr": 0.02}),
        ({"loss": nn.NLLLoss()}, {"loss": "nll"}),
        ({"method": gradus.methods.NewtonCG(0.5)}, {"method": "newton-cg", "lr": 0.5}),
    ],
)
def test_what_a_name_says_too_is_that_run(objects, named):
    # The shipped model: the net that goes with the loss follows from it.
    given = {"model": "linear", "epochs": 1, "test_fraction": 0.3}
    run, by_name = train((X, Y), **given, **objects), train((X, Y), **given, **named)
    assert same(run, by_name)
    assert run.spec.model_copy(update={"loss": None}) == by_name.spec.model_copy(
        update={"loss": None}
    )


@pytest.mark.parametrize("ends_in", [nn.Identity(), nn.Softmax(1), nn.LogSoftmax(1)])
def test_a_loss_of_log_probabilities_is_told_of_other_outputs(ends_in, caplog):
    model = nn.Sequential(net(), ends_in)
    told = []
    options = {"model": model, "loss": nn.NLLLoss(), "epochs": 1, "lr": 1e-9}
    for options["tell"] in (told.append, LOG):
        train((X, Y), **options)
    fits = isinstance(ends_in, nn.LogSoftmax)
    for lines in (told, [each.getMessage() for each in caplog.records]):
        found = [line for line in lines if "takes log-probabilities, and the outputs" in line]
        assert len(found) == (0 if fits else 1)


@pytest.mark.parametrize("loss", [gradus.HingeLoss, gradus.ModifiedHuberLoss])
def test_a_loss_that_no_name_says_runs_natively_too(loss, tmp_path):
    given = train((X, Y), model=net(), loss=loss(torch.tensor([1.0, 3.0])), out=tmp_path, epochs=1)
    assert given.summary["engine"] == "native"
    assert f"{loss.__name__}" in gradus.open_run(tmp_path, model=net()).spec.loss


def test_what_no_name_says_is_what_was_given():
    weight = torch.tensor([1.0, 3.0])
    objects = train((X, Y), model=net(), loss=nn.CrossEntropyLoss(weight=weight), **QUICK)
    named = train((X, Y), model=net(), loss="cross-entropy", class_weight="1=3", **QUICK)
    assert same(objects, named)
    scheduled = gradus.methods.SGD(gradus.methods.StepDecay(0.1, 3, 0.5), momentum=0.5)
    named = {"schedule": "step", "decay_every": 3, "decay_factor": 0.5, "lr": 0.1}
    assert same(train((X, Y), model=net(), method=scheduled, epochs=1),
                train((X, Y), model=net(), epochs=1, **named))  # fmt: skip


@pytest.mark.parametrize(
    ("y", "outputs", "loss", "equal"),
    [
        (Y, 2, lambda z, y: nn.functional.cross_entropy(z, y), {}),
        (NUMBERS, 1, lambda z, y: ((z - y) ** 2).mean(), {"loss": "mse"}),
        (NUMBERS, 1, nn.SmoothL1Loss(beta=0.5), {}),
        (2 * Y - 1, 1, nn.SoftMarginLoss(), {}),
        (Y, 1, nn.BCEWithLogitsLoss(), {}),
        (Y.astype(bool), 1, nn.BCEWithLogitsLoss(), {}),
        (Y, 3, nn.MultiMarginLoss(), {}),
    ],
)
def test_a_loss_of_ones_own_sees_the_targets_as_they_were_given(y, outputs, loss, equal):
    run = train((X, y), model=net(outputs), loss=loss, engine="eager", keep="last", **QUICK)
    if isinstance(loss, nn.Module):
        x, given = torch.tensor(X).float(), torch.tensor(y)
        given = given if outputs == 3 else given[:, None].float()
        with torch.no_grad():
            assert loss(run.model(x), given) < loss(net(outputs)(x), given)
        return
    named = train((X, y), model=net(outputs), engine="eager", keep="last", **QUICK, **equal)
    a, b = (each.history["loss"].to_numpy() for each in (run, named))
    np.testing.assert_allclose(a, b, rtol=1e-4)


def test_a_loss_that_torch_cannot_map_is_taken_example_by_example():
    def loss(output, target):
        return ((output - target) ** 2).mean() if target.sum().item() else output.sum() * 0

    assert train((X, NUMBERS), model=net(1), loss=loss, **QUICK).summary["test"]["loss"] > 0


def test_a_method_of_ones_own_moves_w():
    run = train((X, Y), model=net(), method=Descent(), epochs=2)
    plain = train((X, Y), model=net(), method="gradient-descent", lr=0.1, epochs=2, engine="eager")
    assert same(run, plain) or run.history["loss"].equals(plain.history["loss"])
    assert run.spec.title == "Optimizer-Descent bs-16"


def test_what_is_given_stays_as_it_is():
    given, x = net(), X.copy()
    before = [parameter.clone() for parameter in given.parameters()]
    run = train((x, Y), model=given, dtype="float64", standardize=True, **QUICK)
    assert all(map(torch.equal, before, given.parameters()))
    assert np.array_equal(x, X)
    assert next(run.model.parameters()).dtype == torch.float64


def test_a_factory_makes_a_net_for_the_data_and_each_seed():
    made = []

    def make(input_shape, outputs):
        made.append((input_shape, outputs))
        return nn.Linear(input_shape[0], outputs)

    run = train((X, Y), model=make, models=2, **QUICK)
    assert set(made) == {((4,), 2)}
    assert run.summary["nets"] == 2


def test_frozen_parameters_stay():
    model = net()
    model[0].requires_grad_(False)
    run = train((X, Y), model=model, **QUICK)
    assert torch.equal(run.model[0].weight, model[0].weight)
    assert not torch.equal(run.model[2].weight, model[2].weight)


def test_the_record_says_what_it_needs_and_opens_with_it(tmp_path):
    run = train((X, Y), model=net(), out=tmp_path / "r", **QUICK)
    opened = open_run(tmp_path / "r")
    assert opened.history.equals(run.history)
    assert repr(opened) == repr(run)
    said = json.loads((tmp_path / "r/run.json").read_text())
    assert said["objects"]["model"]["name"] == "torch.nn.Sequential"
    assert said["spec"]["model"].startswith("object:torch.nn.Sequential#")
    with pytest.raises(InputError, match=r"its model, torch.nn.Sequential, .*open_run\(.*model="):
        _ = opened.model
    given = open_run(tmp_path / "r", model=net).model
    assert all(map(torch.equal, given.parameters(), run.model.parameters()))
    with pytest.raises(InputError, match="parameters of the model cannot be read"):
        _ = open_run(tmp_path / "r", model=nn.Linear(4, 2)).model
    with pytest.raises(InputError, match="data=arrays: was an object in Python"):
        train(opened.spec)


def test_a_run_on_objects_goes_on_with_the_same_ones_to_the_bit(tmp_path):
    train((X, Y), model=net(), method=Descent(), out=tmp_path / "r", epochs=2)
    given = {"data": (X, Y), "model": net(), "method": Descent()}
    whole = train(given.pop("data"), **given, epochs=4)
    given["data"] = (X, Y)
    for lacking in ("data", "model", "method"):
        with pytest.raises(InputError, match=f"its {lacking}, .* give it again"):
            gradus.resume(tmp_path / "r", epochs=4, **given | {lacking: None})
    with pytest.raises(InputError, match=r"its model was torch.nn.Sequential, .* another"):
        gradus.resume(tmp_path / "r", epochs=4, **given | {"model": net(3)})
    with pytest.raises(InputError, match=r"its data was arrays, .* another"):
        gradus.resume(tmp_path / "r", epochs=4, **given | {"data": (X + 1, Y)})
    assert same(gradus.resume(tmp_path / "r", epochs=4, **given), whole)
    ended = gradus.resume(tmp_path / "r", model=net())
    assert same(ended, whole)
    assert all(map(torch.equal, ended.model.parameters(), whole.model.parameters()))
    with pytest.raises(InputError, match=r"its model was torch.nn.Sequential, .* another"):
        gradus.resume(tmp_path / "r", model=net(3))


NAN, INFINITE = X.copy(), X.copy()
NAN[3, 1], INFINITE[3, 1] = np.nan, np.inf


class Apart(nn.Module):
    """A loss that says what each example adds; of its first ``upto`` examples only."""

    reduction = "none"

    def __init__(self, upto=None):
        super().__init__()
        self.upto = upto

    def forward(self, output, target):
        return nn.functional.cross_entropy(output, target, reduction="none")[: self.upto]


def test_what_examples_give_apart_is_averaged_and_can_be_weighted(usual):
    theirs = train((X, Y), model=net(), loss=nn.CrossEntropyLoss(reduction="none"), epochs=1)
    assert theirs.spec.loss == "cross-entropy"
    table = {**{f"x{at}": X[:, at] for at in range(4)}, "y": Y, "w": np.arange(len(Y)) % 3}
    options = {"target": "y", "weights": "w", "model": net(), "epochs": 1, "lr": 0.1}
    options |= {"standardize": False, "method": "sgd", "engine": "eager"}
    named, own = (train(table, loss=loss, **options) for loss in ("cross-entropy", Apart()))
    losses = np.array([run.history["loss"].to_numpy() for run in (named, own)])
    np.testing.assert_allclose(*losses, rtol=1e-5)


HOOKED = net()
HOOKED[0].weight.register_hook(torch.zeros_like)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ((X, Y[:-1]), {}, "data: 'x' has 120 rows, 'y' has 119: give one target per example"),
        ((NAN, Y), {}, "has missing values (NaN) in 1 rows: column 1 (1); choose missing=mean"),
        ((INFINITE, Y), {}, "data: x[3, 1] is infinite"),
        ((X, Y, Y), {}, "data: holds 3 things, where X and y are taken; give (X, y)"),
        (X, {}, "data: a ndarray; give (X, y)"),
        (Examples(X, Y, Y), {}, "data: an example of Examples holds 3 things; give x and y"),
        ({"a": X, "b": Y}, {}, "data: a dict with the keys 'a', 'b'; give"),
        ((X, object()), {}, "y of data: <object object"),
        ("digitz", {}, "digitz: unknown data; did you mean digits?"),
        ("digits", {"test": (X, Y)}, "test: digits says itself what its parts are"),
        ((X, Y), {"epoch": 2}, "epoch: no such option (did you mean epochs?)"),
        ((X, Y), {"learning_rate": 1}, "learning_rate: no such option (did you mean lr?)"),
        ((X[:12], Y[:12]), {"batch_size": 16}, "batch_size=16: larger than the training"),
        ((X, Y), {"batch_size": 500}, "batch_size=500: larger than the training data; give at"),
        ((X, Y), {"target": "a"}, "target=a: does not apply to arrays; leave the option out"),
        ((X, Y), {"models": 3}, "models=3: nets that differ in their seed are made by a function"),
        ((X, Y), {"method": "adm"}, "method=adm: choose adadelta"),
        ((X, Y), {"method": 5}, "method 5: give a name, an object of gradus.methods, a"),
        ((X, Y), {"method": gradus.methods.Adam(0.1), "lr": 1.0}, "lr=1.0: an object says that"),
        ((X, Y), {"method": Descent()}, "Descent: failed in training: Overflow"),
        ((X, Y), {"model": nn.Linear(3, 2)}, "model=torch.nn.Linear: fails on a batch of shape"),
        ((X, Y), {"model": nn.Linear(4, 1), "loss": "cross-entropy"}, "but must give (2, 2)"),
        ((X, Y + 5), {}, "y holds the class 6, and the model gives 2 outputs"),
        ((X, NUMBERS), {}, "model=torch.nn.Sequential: gives (2, 2) for a batch of shape (2, 4)"),
        ((X, Y), {"model": nn.LazyLinear(2)}, "model LazyLinear: weight has no shape before a"),
        ((X, Y), {"model": HOOKED}, "model Sequential: 0.weight has a hook on its gradient, which"),
        ((X, Y), {"model": lambda: HOOKED}, "0.weight has a hook on its gradient"),
        ((X, Y), {"model": 5}, "model 5: give a name, a torch.nn.Module, or a function"),
        ((X, Y), {"model": lambda: 5}, "the factory gave a int, not a torch.nn.Module"),
        ((X, Y), {"loss": lambda z, y: z[:, 0]}, "gives shape [2], but must give one number"),
        ((X, Y), {"loss": lambda z, y: 0.5}, "gives a float, not a tensor of one number"),
        ((X, Y), {"loss": lambda z, y: z.sum().detach()}, "does not depend on the output so that"),
        ((X, Y), {"loss": lambda z, y: z.nothing}, "fails on an output of shape [2, 2] and a"),
        ((X, Y), {"loss": nn.MSELoss(reduction="sum")}, "loss MSELoss: reduction=sum adds up what"),
        ((X, Y), {"model": normed(), "batch_size": 1}, "; a mini-batch holds one example, perhaps"),
        ((X, Y), {"model": normed(resting=True)}, "its part 0 (BatchNorm1d) is in eval mode, and"),
        ((X, Y), {"weights": Y}, "weights: is the name of a table's column; with arrays give"),
        ((X, Y), {"class_weight": [1, 2]}, "class_weight=[1, 2]: give what each class counts by"),
        ((X, Y), PROXIMAL_GROUPS, "proximal=True: parameters and decay move groups by an"),
        ((X, Y), {"loss": nn.MSELoss}, "loss MSELoss: is a class; give an object, MSELoss()"),
        ((X, Y), {"loss": Apart(1)}, 'has reduction="none" and gives shape [1], but must give'),
        ((X, Y), {"loss": 5}, "loss 5: give a name, a loss of gradus or torch.nn, or a callable"),
        ((X, NUMBERS), {"loss": nn.CrossEntropyLoss(), "model": "linear"}, "loss=cross-entropy"),
        (RunSpec(), {}, "model: stands in the RunSpec; give it there"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line_in_the_words_of_the_call(
    data, options, message, monkeypatch
):
    if isinstance(options.get("method"), Descent):
        monkeypatch.setattr(Descent, "update", lambda *given: 10.0**400)
    with pytest.raises(InputError) as caught:
        train(data, **{"model": net(), "epochs": 1} | options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "--" not in str(caught.value)


def test_mini_batches_are_of_all_rows_where_there_are_fewer_than_usual():
    run = train((X[:20], Y[:20]), model="linear", epochs=1)
    assert run.spec.batch_size == run.summary["data"]["train"] < 16


def test_columns_to_predict_are_named_in_a_list_too():
    table = {"a": X[:, 0], "b": X[:, 1], "c": X[:, 2]}
    lists, text = (train(table, target=each, epochs=1, models=1) for each in (["a", "b"], "a,b"))
    assert same(lists, text)


def test_what_a_run_cannot_do_is_said_in_the_words_of_its_call(tmp_path):
    run = train((X, Y), model="linear", epochs=1)
    with pytest.raises(InputError, match=r"give them too, as run\.evaluate\(X, y\)$"):
        run.evaluate(X)
    with pytest.raises(InputError, match=r"^to=onyx: choose csv"):
        run.export("onyx", tmp_path / "a.onnx")


def test_a_pair_is_one_thing():
    with pytest.raises(InputError, match=r"^train: .* one pair: gradus\.train\(\(X, y\), \.\.\)$"):
        train(X, Y, model=net())
    assert list(inspect.signature(train).parameters)[:2] == ["data", "model"]


@pytest.mark.parametrize("kind", ["float32", "uint8"])
def test_arrays_that_cannot_be_written_are_taken(kind):
    x, y = np.abs(X).astype(kind), Y.copy()
    x.flags.writeable = y.flags.writeable = False
    assert train((x, y), model=net(), epochs=1).predict(x).num_rows == len(x)


@pytest.mark.parametrize(
    ("flags", "keywords"),
    [
        ("use another --target", "use another target"),
        ("--keep best: give --test-fraction 0.15, or", "keep=best: give test_fraction=0.15, or"),
        ("choose --loss mse | l1", "choose loss=mse | l1"),
        ("try --standardize; or --no-standardize", "try standardize=True; or standardize=False"),
        ("holds a run; add --overwrite", "holds a run; add overwrite=True"),
        ("--nothing: no such option", "nothing: no such option"),
        ("goes on: give --from RUN", "goes on: give start=RUN"),
    ],
)  # fmt: skip
def test_flags_are_keywords_in_a_call(flags, keywords):
    assert as_call(flags) == keywords


def test_a_run_on_objects_is_not_trained_once_more_from_its_record(usual):
    with pytest.raises(InputError, match=r"was an object in Python, which no spec or record holds"):
        usual.train(epochs=1)


@pytest.mark.parametrize(
    "form",
    [
        lambda y: y,
        lambda y: y.astype(bool),
        lambda y: y.astype(np.float32),
        lambda y: y.astype(np.float32)[:, None],
    ],
)
@pytest.mark.parametrize("as_loader", [False, True])
def test_one_logit_of_zeros_and_ones_is_held_against_zero(form, as_loader):
    x = X.astype(np.float32)
    y = form((x[:, 0] > 0.5).astype(np.int64))
    data, model = (x, y), nn.Linear(x.shape[1], 1)
    if as_loader:
        y = y.astype(np.int64) if y.dtype == bool else y
        pairs = TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
        data = DataLoader(pairs, batch_size=16)
    loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(2.0))
    run = train(data, model=model, loss=loss, test=(x, y), lr=1.0, epochs=3, keep="last")
    logits = run.model(torch.from_numpy(x)).detach().numpy()[:, 0]
    right = float(((logits > 0) == (y.reshape(-1) > 0)).mean())
    assert 0.5 < right < 1
    assert run.summary["final"]["test_accuracy"] == pytest.approx(right)
    assert run.summary["figures"]["test"]["accuracy"]["value"] == pytest.approx(right)
    expected = loss(torch.from_numpy(logits), torch.from_numpy(y.reshape(-1).astype(np.float32)))
    assert run.summary["final"]["test_loss"] == pytest.approx(float(expected), rel=1e-5)
    if not as_loader:
        said = run.predict_proba(x)
        np.testing.assert_allclose(said[:, 1], 1 / (1 + np.exp(-logits)), rtol=1e-5)
        assert run.evaluate(x, y)["accuracy"].value == pytest.approx(right)
