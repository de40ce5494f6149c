import io
import pickle
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import gradus
from gradus import InputError, methods
from gradus.data import load
from gradus.engine import plain
from gradus.models.average import Average
from gradus.models.networks import ACTIVATIONS, mlp
from gradus.sklearn import GradusClassifier, GradusRegressor

X, LABELS = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[LABELS]
NUMBERS = X @ [1.0, -2.0, 0.5, 3.0]
SMALL = {
    "hidden": (8,), "models": 1, "epochs": 8, "lr": 0.02, "pieces": 0, "early_stopping": False,
    "random_state": 0,
}  # fmt: skip
# Every step sees all examples, so that nothing depends on their order.
FULL = {**SMALL, "method": "gradient-descent", "lr": 0.1, "options": {"sampling": "full"}}


def classifier(**changes):
    return GradusClassifier(**{**SMALL, **changes})


def regressor(**changes):
    return GradusRegressor(**{**SMALL, **changes})


def parameters(estimator):
    return [array for net in estimator.networks_ for array in (*net.weights, *net.biases)]


def assert_same_nets(first, second, rtol=0.0):
    for one, other in zip(parameters(first), parameters(second), strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol)


def test_the_nets_are_those_of_a_run():
    split = load("digits", validation_fraction=0)
    spec = gradus.RunSpec(hidden=(8,), epochs=1, seed=3, validation_fraction=0)
    of_run = list(gradus.train(spec).model.parameters())
    x, y = split.train.batch()
    fitted = GradusClassifier(
        (8,), method="sgd", batch_size=16, epochs=1, models=1, scaling=None, pieces=0,
        early_stopping=False, random_state=3,
    ).fit(x.flatten(1).numpy(), y.numpy())  # fmt: skip
    (net,) = fitted.networks_
    ours = [array for pair in zip(net.weights, net.biases, strict=True) for array in pair]
    for one, other in zip(of_run, ours, strict=True):
        np.testing.assert_array_equal(one.detach().numpy(), other)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("core", ["there", "absent"])
def test_probabilities_are_the_average_of_the_nets(activation, core, monkeypatch):
    fitted = classifier(models=2, activation=activation, epochs=1).fit(X, NAMES)
    nets = []
    for network in fitted.networks_:
        net = mlp((4,), 3, (8,), activation).double()
        flat = [a for pair in zip(network.weights, network.biases, strict=True) for a in pair]
        for parameter, array in zip(net.parameters(), flat, strict=True):
            parameter.data = torch.from_numpy(array)
        nets.append(net)
    x = torch.from_numpy(fitted.inputs_.encode(X, np.float64))
    expected = Average(nets, classes=True)(x).exp().detach().numpy()
    if core == "absent":
        monkeypatch.setattr("gradus.kernels.absence", lambda: "not built")
    np.testing.assert_allclose(fitted.predict_proba(X), expected, rtol=1e-10)
    np.testing.assert_allclose(np.exp(fitted.predict_log_proba(X)), expected, rtol=1e-10)
    np.testing.assert_array_equal(fitted.predict(X), fitted.classes_[expected.argmax(axis=1)])
    np.testing.assert_allclose(np.exp(fitted.decision_function(X)), expected, rtol=1e-10)
    x = np.repeat(fitted.inputs_.encode(X, np.float64), 10, axis=0)
    np.testing.assert_array_equal(*(fitted.networks_[0].outputs(x, threads=n) for n in (1, 2)))


def test_a_decision_between_two_is_the_logarithm_of_their_odds():
    fitted = classifier().fit(X, LABELS == 1)
    odds = fitted.predict_proba(X)[:, 1] / fitted.predict_proba(X)[:, 0]
    np.testing.assert_allclose(fitted.decision_function(X), np.log(odds), rtol=1e-8)


KINDS = {"classes": NAMES, "numbers": NUMBERS, "two numbers": X[:, :2] * 3}


def make(kind, **changes):
    return classifier(**changes) if kind == "classes" else regressor(**changes)


@pytest.mark.parametrize("scaling", ["robust", "standard", None])
@pytest.mark.parametrize("pieces", [0, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_is_a_number_of_repetitions(kind, pieces, scaling):
    random = np.random.default_rng(0)
    rows = random.permutation(len(X))[:25]
    counts = random.integers(0, 4, len(rows))
    repeated, y = rows.repeat(counts), KINDS[kind]
    options = {"pieces": pieces, "scaling": scaling, "batch_size": 64}
    weighted = make(kind, **options).fit(X[rows], y[rows], sample_weight=counts)
    expected = make(kind, **options).fit(X[repeated], y[repeated])
    np.testing.assert_allclose(weighted.loss_curve_, expected.loss_curve_, rtol=1e-9)
    assert_same_nets(weighted, expected, rtol=1e-9)


@pytest.mark.parametrize("size", [1, 5])
@pytest.mark.parametrize("engine", ["native", "eager"])
def test_weights_count_in_batches_of_any_size(engine, size):
    of_class, kind = {"one": 9.0, "other": 1.0}, np.array(["one", "other"] * 500)
    nothing = np.zeros((len(kind), 1))  # tells no class
    options = {"method": "gradient-descent", "lr": 0.1, "schedule": "cosine", "batch_size": size}
    by_row = classifier(**options, hidden=(2,), epochs=3, engine=engine, scaling=None)
    by_class = clone(by_row).set_params(class_weight=of_class)
    by_row.fit(nothing, kind, sample_weight=[of_class[each] for each in kind])
    for fitted in (by_row, by_class.fit(nothing, kind)):
        assert fitted.predict_proba(nothing[:1])[0, 0] == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize("weight", [{"setosa": 3.0, "virginica": 0.5}, "balanced"], ids=str)
def test_a_class_counts_as_each_of_its_rows(weight):
    rows = np.arange(0, 130)  # 50, 50 and 30
    counts = np.array([50, 50, 30])
    of_class = 130 / 3 / counts if weight == "balanced" else np.array([3.0, 1.0, 0.5])
    options = {**FULL, "scaling": None}
    by_class = GradusClassifier(**options, class_weight=weight).fit(X[rows], NAMES[rows])
    by_row = GradusClassifier(**options).fit(
        X[rows], NAMES[rows], sample_weight=of_class[LABELS[rows]]
    )
    assert_same_nets(by_class, by_row, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_epochs_one_by_one_are_the_epochs_of_one_fit(kind):
    y, options = KINDS[kind], {"method": "adam", "models": 2}
    whole = make(kind, **options, epochs=3).fit(X, y)
    parts = make(kind, **options)
    for _ in range(3):
        parts.partial_fit(X, y, **({"classes": np.unique(y)} if kind == "classes" else {}))
    assert_same_nets(whole, parts)
    assert parts.loss_curve_ == whole.loss_curve_
    assert parts.n_iter_ == 3
    again = pickle.loads(pickle.dumps(parts)).partial_fit(X, y)
    assert_same_nets(again, make(kind, **options, epochs=4).fit(X, y))


@pytest.mark.parametrize("engine", ["native", "eager"])
@pytest.mark.parametrize(
    "change",
    [{"method": "adagrad", "lr": 0.1}, {"method": "polyak"}, {"options": {"amsgrad": True}}],
)
def test_no_method_reads_what_another_remembers(change, engine):
    first = classifier(method="adam", engine=engine).partial_fit(X, NAMES, classes=np.unique(NAMES))
    changed = pickle.loads(pickle.dumps(first)).set_params(**change).partial_fit(X, NAMES)
    fresh = clone(changed).set_params(warm_start=True, epochs=1, schedule="constant")
    fresh.networks_, fresh.inputs_, fresh.classes_ = (
        first.networks_, first.inputs_, first.classes_,
    )  # fmt: skip
    fresh.n_features_in_ = first.n_features_in_
    assert_same_nets(changed, fresh.fit(X, NAMES))


@pytest.mark.parametrize("engine", ["native", "eager"])
def test_fits_side_by_side_draw_what_each_draws_alone(engine):
    def fit(_=None):
        return classifier(engine=engine, epochs=1, random_state=0).fit(X, NAMES)

    alone, drawn = fit(), torch.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        for each in pool.map(fit, range(16)):
            assert_same_nets(each, alone)
    assert torch.equal(torch.get_rng_state(), drawn)


def test_a_class_that_is_named_may_come_later():
    fitted = classifier().partial_fit(X[:100], NAMES[:100], classes=np.unique(NAMES))
    assert fitted.predict_proba(X).shape == (150, 3)
    assert fitted.partial_fit(X[100:], NAMES[100:]).classes_.tolist() == np.unique(NAMES).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_parts_of_any_size_are_learned_bit_by_bit(kind):
    y = KINDS[kind]
    make = GradusClassifier if kind == "classes" else GradusRegressor
    fitted = make((8,), lr=0.03, models="auto", pieces=0, random_state=0)
    for rows in np.split(np.random.default_rng(0).permutation(len(X)), [100, 120]) * 8:
        fitted.partial_fit(
            X[rows], y[rows], **({"classes": np.unique(y)} if kind == "classes" else {})
        )
    assert fitted.score(X, y) > 0.8
    with pytest.raises(InputError, match="schedule cosine: partial_fit does not know"):
        fitted.set_params(schedule="cosine").partial_fit(X, y)


@pytest.mark.parametrize("kind", KINDS)
def test_a_warm_start_goes_on(kind):
    y, make = KINDS[kind], GradusClassifier if kind == "classes" else GradusRegressor
    warm = make(**{**FULL, "epochs": 4}, warm_start=True)
    assert_same_nets(warm.fit(X, y).fit(X, y), make(**FULL).fit(X, y), rtol=1e-12)
    cold = make(**{**FULL, "epochs": 4})
    assert_same_nets(cold.fit(X, y).fit(X, y), make(**{**FULL, "epochs": 4}).fit(X, y))


def test_early_stopping_keeps_the_best_epoch():
    stopped = classifier(early_stopping=True, patience=2, epochs=50, lr=0.0, method="sgd").fit(
        X, NAMES
    )  # no epoch is better than the first
    assert stopped.n_iter_ == len(stopped.validation_curve_) == 3
    assert classifier(early_stopping=False).fit(X, NAMES).validation_curve_ is None


@pytest.mark.parametrize(("rows", "holds"), [(64, False), (65, True), (150, True)])
def test_rows_are_held_where_nothing_is_said(rows, holds):
    fitted = classifier(early_stopping="auto").fit(X[-rows:], NAMES[-rows:])
    assert (fitted.validation_curve_ is not None) == holds


@pytest.mark.parametrize(("rows", "pieces"), [(65, 8), (320, 10), (2_000, 32)])
def test_small_tables_are_cut_into_few_pieces_and_seen_for_many_steps(rows, pieces):
    x = np.random.default_rng(0).normal(size=(rows, 1))
    fitted = classifier(pieces="auto", epochs="auto").fit(x, x[:, 0] > 0)
    (column,) = fitted.inputs_.encoders
    assert len(column.means) == pieces
    steps = fitted.n_iter_ * -(-rows // min(32, rows // 4))
    assert steps >= 512
    assert fitted.n_iter_ == 32 or steps < 650


def test_two_rows_are_too_few_to_hold_in_turn():
    with pytest.raises(InputError, match=r"too few rows: 2 are left .* need 3; .* or models 1"):
        regressor(models=2, early_stopping=True).fit(X[:2], X[:2, 0])


def test_nets_in_threads_are_the_same_nets():
    assert_same_nets(*(classifier(models=3, n_jobs=n).fit(X, NAMES) for n in (None, 2)))


def test_the_seed_decides():
    fits = [classifier(random_state=seed).fit(X, NAMES) for seed in (1, 1, 2)]
    assert_same_nets(*fits[:2])
    assert not np.array_equal(parameters(fits[0])[0], parameters(fits[2])[0])
    state = torch.get_rng_state()
    draws = [np.random.RandomState(0), np.random.RandomState(0)]
    assert_same_nets(*(classifier(random_state=drawn).fit(X, NAMES) for drawn in draws))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("X_dtype", "dtype", "expected"),
    [
        (np.float64, "auto", np.float64),
        (np.float32, "auto", np.float32),
        (np.uint8, "auto", np.float32),
        (np.int64, "auto", np.float64),
        (np.float64, "float32", np.float32),
        (np.float32, "float64", np.float64),
    ],
)
def test_the_precision(X_dtype, dtype, expected):
    x = (10 * X).astype(X_dtype)
    fitted = classifier(dtype=dtype).fit(x, NAMES)
    assert fitted.predict_proba(x).dtype == expected
    assert all(array.dtype == expected for array in parameters(fitted))


@pytest.mark.parametrize(
    ("loss", "expected"),
    [({"loss": "mse"}, 0.99), ({"loss": "pinball", "quantile": 0.8}, 1.5)],
    ids=["mse", "pinball"],
)
def test_without_inputs_that_tell_it_predicts_what_is_least(loss, expected):
    y = np.repeat([0.1, 1.5, 1.6], [10, 8, 2])  # the mean, and the quantile
    y[:10] += (0.99 * 20 - y.sum()) / 10
    options = {"method": "sgd", "lr": 0.2, "epochs": 60, "batch_size": 20, "hidden": ()}
    fitted = regressor(**options, standardize_target=False, **loss).fit(np.zeros((20, 1)), y)
    assert fitted.predict(np.zeros((1, 1))) == pytest.approx(expected, abs=0.11)


def through_pickle(estimator):
    return pickle.loads(pickle.dumps(estimator.fit(X, NAMES)))


def through_joblib(estimator):
    file = io.BytesIO()
    joblib.dump(estimator.fit(X, NAMES), file)
    file.seek(0)
    return joblib.load(file)


def through_clone(estimator):
    return clone(estimator.fit(X, NAMES)).fit(X, NAMES)


@pytest.mark.parametrize("through", [through_pickle, through_joblib, through_clone])
def test_copies_predict_the_same(through):
    expected = classifier(models=2).fit(X, NAMES).predict_proba(X)
    np.testing.assert_array_equal(through(classifier(models=2)).predict_proba(X), expected)


def grid(estimator):
    search = GridSearchCV(estimator, {"lr": [0.0, 0.02], "method": ["adamw", "sgd"]}, cv=2)
    return search.fit(X, NAMES).best_params_ == {"lr": 0.02, "method": "adamw"}


def halving(estimator):
    search = HalvingGridSearchCV(
        estimator,
        {"lr": [0.0, 0.02]},
        factor=2,
        resource="epochs",
        min_resources=4,
        max_resources=8,
        cv=2,
        random_state=0,
    )
    return search.fit(X, NAMES).best_params_ == {"lr": 0.02, "epochs": 8}


def pipeline(estimator):
    whole = make_pipeline(StandardScaler(), estimator.set_params(scaling=None))
    return whole.fit(X, NAMES).score(X, NAMES) > 0.8


def cross_validation(estimator):
    return cross_val_score(estimator, X, NAMES, cv=3).mean() > 0.8


def calibrated(estimator):
    return CalibratedClassifierCV(estimator, cv=2).fit(X, NAMES).score(X, NAMES) > 0.8


def permuted(estimator):
    found = permutation_importance(estimator.fit(X, NAMES), X, NAMES, n_repeats=2, random_state=0)
    return found.importances_mean.argmax() in (2, 3)  # of the petals


def routed(estimator):
    with sklearn.config_context(enable_metadata_routing=True):
        weighing = estimator.set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        whole = make_pipeline(scaler, weighing)
        only = np.where(LABELS < 2, 1.0, 0.0)
        whole.fit(X, NAMES, sample_weight=only)
    return whole.classes_.tolist() == ["setosa", "versicolor"]


TOOLS = (grid, halving, pipeline, cross_validation, calibrated, permuted, routed)


@pytest.mark.parametrize("tool", TOOLS)
def test_the_tools_of_scikit_learn_take_it(tool):
    assert tool(classifier(epochs=16))


def test_several_numbers_are_predicted_each_in_its_unit():
    y = np.column_stack([1e6 + 1e3 * NUMBERS, 1e-3 * X[:, 0]])
    fitted = regressor(epochs=100).fit(X, y)
    assert fitted.predict(X).shape == (150, 2)
    assert fitted.score(X, y) > 0.9


REFUSED = {
    "method": ({"method": "adm"}, "method adm: choose ada"),
    "an option of another": ({"method": "adamw", "momentum": 0.9}, "momentum is not an option"),
    "unknown option": ({"options": {"momentun": 1}}, "options momentun: no such option (did you"),
    "strength": ({"penalty": "l1", "strength": -1}, "strength -1: must be greater than or equal"),
    "penalty without": ({"penalty": "l1"}, "penalty l1 needs strength"),
    "activation": ({"activation": "rely"}, "activation rely: choose relu | tanh"),
    "engine": ({"engine": "native", "method": "newton"}, "the native engine does not run the me"),
    "scaling": ({"scaling": "minmax"}, "scaling minmax: give robust, standard or None"),
    "pieces": ({"pieces": -1}, "pieces -1: give auto or a whole number from 0 on"),
    "dtype": ({"dtype": "float16"}, "dtype float16: give auto, float32 or float64"),
    "early_stopping": ({"early_stopping": "maybe"}, "early_stopping maybe: give auto, True or"),
    "validation_fraction": (
        {"early_stopping": True, "validation_fraction": 1.5}, "validation_fraction 1.5: give a nu"
    ),
    "no share": (
        {"early_stopping": True, "validation_fraction": "a"}, "validation_fraction a: give a numb"
    ),
    "option of the data": ({"options": {"target": "y"}}, "options target: no such option"),
    "option twice": ({"options": {"lr": 1.0}}, "options lr: is a parameter of its own"),
    "no options": ({"options": 3}, "options 3: give a mapping, as {'warmup': 100}"),
    "random_state": ({"random_state": -1}, "random_state -1: give 0 or a positive number"),
    "threads": ({"n_jobs": "many", "models": 2}, "n_jobs many: give how many nets train at once"),
    "method object": ({"method": methods.Adam(0.1)}, "method: an object, where an estimator"),
    "no such class": ({"class_weight": {"nobody": 1.0}}, "class_weight nobody: no such class in y"),
    "class_weight": ({"class_weight": "even"}, "class_weight even: give balanced, or what each"),
    "class_weight list": ({"class_weight": [1, 2, 3]}, "class_weight [1, 2, 3]: give balanced, or"),
    "weight": ({"class_weight": dict.fromkeys(NAMES, "a")}, "class_weight a: is no number, which"),
    "no class counts": ({"class_weight": dict.fromkeys(NAMES, 0)}, "give numbers >= 0, and more"),
    "divergence": ({"method": "sgd", "lr": 1e300}, "the training diverged at step"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=list(REFUSED))
def test_what_is_wrong_is_said_in_one_line(changes, message):
    with pytest.raises(InputError) as refusal:
        classifier(**changes).fit(X, NAMES)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert "--" not in str(refusal.value)


def test_a_missing_value_is_one_line():
    missing = np.where(np.arange(4) == 1, np.nan, X)
    fitted = classifier().fit(X, NAMES)
    for call in (lambda: classifier().fit(missing, NAMES), lambda: fitted.predict(missing)):
        with pytest.raises(ValueError, match=r"^Input X contains NaN: fill it in, as .*line$"):
            call()


def test_calls_that_do_not_fit_are_refused():
    fitted = classifier(warm_start=True).fit(X, NAMES)
    with pytest.raises(InputError, match=r"^warm_start: 1 nets of widths"):
        fitted.set_params(hidden=(9,)).fit(X, NAMES)
    with pytest.raises(InputError, match="none of the classes setosa"):
        classifier().fit(X, NAMES).partial_fit(X, np.full(150, "rosa"))
    with pytest.raises(InputError, match=r"y holds 3, which is none of the classes 0, 1, 2$"):
        classifier().partial_fit(X, np.arange(150) % 4, classes=[0, 1, 2])
    with pytest.raises(InputError, match="y holds 1 class, 0: two at least"):
        GradusClassifier().fit(X, np.zeros(len(X), int))
    with pytest.raises(InputError, match="class_weight balanced: partial_fit does not know"):
        classifier(class_weight="balanced").partial_fit(X, NAMES, classes=np.unique(NAMES))
    with pytest.raises(InputError, match="needs classes"):
        classifier().partial_fit(X, NAMES)
    with pytest.raises(InputError, match="loss hinge: choose mse"):
        regressor(loss="hinge").fit(X, NUMBERS)
    with pytest.raises(InputError, match="y holds numbers beyond"):
        regressor().fit(X, 1e300 * NUMBERS)
    with pytest.raises(
        InputError, match=r"X holds numbers beyond 3.4e\+38, the greatest of float32"
    ):
        classifier(dtype="float32", scaling=None).fit(1e300 * X, NAMES)
    with pytest.raises(InputError, match="y holds 1 numbers a row, and 2 were fitted"):
        regressor().fit(X, X[:, :2]).partial_fit(X, NUMBERS)


@pytest.mark.parametrize(
    ("model", "first", "second"),
    [(classifier(), NAMES, LABELS), (regressor(), NUMBERS, 1e6 * NUMBERS)],
    ids=["classes", "numbers"],
)
def test_a_fit_that_fails_leaves_what_was_fitted(model, first, second):
    before = model.fit(X, first).predict(X)
    with pytest.raises(InputError, match="diverged"):
        model.set_params(method="sgd", lr=1e300).fit(1000 * X[:, :3], second)
    np.testing.assert_array_equal(model.predict(X), before)


def test_an_interruption_is_none_of_its_results(monkeypatch):
    execute = plain.execute

    def interrupted(job, *course, threads):
        outcome, parameters = execute(job, *course, threads=threads)
        outcome.status = "interrupted"
        return outcome, parameters

    monkeypatch.setattr(plain, "execute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        classifier().fit(X, NAMES)


def test_where_one_net_fails_the_others_end_too(monkeypatch):
    execute = plain.execute

    def failing(job, *course, threads):
        if job.seed == 0:
            raise InputError("broken")
        return execute(job, *course, threads=threads)

    monkeypatch.setattr(plain, "execute", failing)
    with pytest.raises(InputError, match="broken"):
        classifier(models=2, n_jobs=2, epochs=1_000_000).fit(X, NAMES)  # minutes, were it not so


def test_it_tells_of_its_epochs(capsys):
    classifier(epochs=2, verbose=True, early_stopping=True).fit(X, NAMES)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("GradusClassifier: epoch 2/2: loss ")
    assert ", validation loss " in lines[1]


@pytest.mark.parametrize(
    ("named", "meant"),
    [({"solver": "adam"}, "method"), ({"hidden_layer_sizes": (3,)}, "hidden"), ({"fast": 1}, None)],
)
def test_parameters_that_there_are_not(named, meant):
    hint = f" (did you mean {meant}?)" if meant else ""
    with pytest.raises(InputError) as refusal:
        GradusClassifier(**named)
    assert str(refusal.value) == f"GradusClassifier: {next(iter(named))}: no such option{hint}"


def test_names_are_no_numbers():
    with pytest.raises(InputError, match=r"^y: could not .*; give numbers, or take a"):
        GradusRegressor().fit(X, NAMES)
