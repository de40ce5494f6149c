"""Runs by batches: lists given out once, and Optuna's trials told once, through any storage."""

import math

import pytest

from gradus import InputError
from gradus.runs.spec import run_id
from gradus.sweep import Listed, OptunaSearch, Point, SweepSpec, runs_of, search_of

optuna = pytest.importorskip("optuna")
COMPLETE, PRUNED = optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED
RUNNING, FAIL = optuna.trial.TrialState.RUNNING, optuna.trial.TrialState.FAIL


def spec(**changes):
    options = {"vary": {"lr": "log:1e-5:1"}, "search": "optuna", "trials": 4}
    return SweepSpec(**options | changes)


def states(search):
    return [trial.state for trial in search.study.get_trials(deepcopy=False)]


@pytest.mark.parametrize(
    "options",
    [
        {"search": "grid"},
        {"search": "one-at-a-time"},
        {"search": "random", "trials": 7},
    ],
)
def test_lists_are_given_out_once_in_their_order(options):
    swept = SweepSpec(vary={"lr": "1,2,3,4", "momentum": "0,0.5,0.9"}, **options)
    search = search_of(swept)
    assert isinstance(search, Listed)
    batches = list(iter(lambda: search.ask(3), []))
    assert [run for batch in batches for run in batch] == runs_of(swept)
    assert all(len(batch) == 3 for batch in batches[:-1])


def test_a_list_does_not_ask_for_what_was_told():
    swept = SweepSpec(vary={"lr": "1,2,3"})
    search = search_of(swept)
    search.tell(run_id(runs_of(swept)[1]), 0.5)
    assert [run.lr for run in search.ask(9)] == [1.0, 3.0]


def test_trials_are_told_what_came_out():
    search = OptunaSearch(spec())
    runs = search.ask(3)
    assert len({run.lr for run in runs}) == 3
    assert all(1e-5 <= run.lr <= 1 for run in runs)
    search.tell(run_id(runs[1]), 0.25)
    search.tell(run_id(runs[0]), None)
    search.tell(run_id(runs[2]), math.inf)
    assert states(search) == [RUNNING, COMPLETE, RUNNING]  # what is worse than any, is not known
    (last,) = search.ask(3)  # of 4 trials
    search.tell(run_id(last), 0.75)
    assert states(search) == [COMPLETE] * 4
    assert [trial.value for trial in search.study.trials] == [1.25, 0.25, 1.25, 0.75]
    assert search.study.best_params == {"lr": runs[1].lr}
    assert search.ask(3) == []


def test_what_is_lost_is_worse_than_any_and_finite(tmp_path):
    stored = spec(storage=f"sqlite:///{tmp_path}/trials.db", trials=12)
    told = [None, 0.5, 0.25, None, 0.75, 0.5, 0.5, None, 1e12, 0.125, math.inf, 9.0]
    lost = [value is None or value == math.inf for value in told]
    search = OptunaSearch(stored)
    for number, value in enumerate(told):
        if number == 8:
            search = OptunaSearch(stored)  # goes on in another process
        (run,) = search.ask(1)
        search.tell(run_id(run), value)
    values = [trial.value for trial in search.study.trials]
    assert all(math.isfinite(value) for value in values)
    worst = max(value for value, gone in zip(values, lost, strict=True) if not gone)
    assert all(value > worst for value, gone in zip(values, lost, strict=True) if gone)
    kept = [value for value in told if value is not None and value < 1]
    assert [value for value in values if value <= 0.75] == kept


def test_where_all_is_lost_the_search_ends_in_good_order():
    search = OptunaSearch(spec(trials=3))
    while runs := search.ask(1):
        search.tell(run_id(runs[0]), None)
    assert states(search) == [PRUNED] * 3


@pytest.mark.parametrize(
    ("sampler", "trials", "learns"),
    [("tpe", 40, True), ("gp", 24, True), ("qmc", 40, False), ("random", 40, False)],
)
def test_every_sampler_on_a_range_of_which_half_diverges(sampler, trials, learns):
    """Above 0.003 all is lost; losses are least at 0.0001."""
    loss = lambda lr: abs(math.log10(lr) + 4)  # noqa: E731
    search = OptunaSearch(spec(sampler=sampler, trials=trials))
    drawn = []
    while runs := search.ask(1):
        (run,) = runs
        drawn.append(run.lr)
        search.tell(run_id(run), None if run.lr > 0.003 else loss(run.lr))
    assert len(set(drawn)) == trials
    lost = [lr > 0.003 for lr in drawn]
    late = sum(lost[trials // 2 :]) / (trials - trials // 2)
    assert late <= 0.4 if learns else 0.3 <= late <= 0.7
    values = [trial.value for trial in search.study.trials]
    assert [value > loss(0.003) for value in values] == lost


def test_a_run_is_not_told_twice():
    search = OptunaSearch(spec())
    (run,) = search.ask(1)
    search.tell(run_id(run), 0.25)
    search.tell(run_id(run), 0.5)
    assert search.study.best_value == 0.25


def test_a_trial_is_told_the_mean_over_its_seeds():
    search = OptunaSearch(spec(seeds=2, trials=2))
    first = search.ask(1) + search.ask(1)
    assert [run.seed for run in first] == [0, 1]
    assert first[0].lr == first[1].lr
    search.tell(run_id(first[0]), 0.25)
    assert states(search) == [RUNNING]
    search.tell(run_id(first[1]), 0.75)
    assert search.study.best_value == 0.5
    second = search.ask(9)
    search.tell(run_id(second[0]), 0.125)
    search.tell(run_id(second[1]), None)
    assert states(search) == [COMPLETE, COMPLETE]
    assert [trial.value for trial in search.study.trials] == [0.5, 1.0]


def test_trials_that_come_to_a_known_run_train_nothing():
    search = OptunaSearch(spec(vary={"momentum": "0,0.9"}, trials=12))
    asked = [run for runs in iter(lambda: search.ask(1), []) for run in runs]
    assert [run.momentum for run in asked] in ([0.0, 0.9], [0.9, 0.0])
    assert states(search) == [RUNNING] * 12
    for run in asked:
        search.tell(run_id(run), run.momentum)
    assert states(search) == [COMPLETE] * 12
    assert search.study.best_value == 0.0
    again = OptunaSearch(spec(vary={"momentum": "0,0.9"}, trials=3))
    for run in asked:
        again.tell(run_id(run), run.momentum)
    assert again.ask(1) == []
    assert states(again) == [COMPLETE] * 3


def test_tpe_goes_where_losses_are_low():
    search = OptunaSearch(spec(trials=60))
    while runs := search.ask(4):
        for run in runs:
            search.tell(run_id(run), None if run.lr > 0.3 else abs(math.log10(run.lr) + 2))
    late = [trial.params["lr"] for trial in search.study.trials[30:]]
    # Uniform draws would lie within a factor of 10 of the best in 2 of 5 cases.
    assert sum(0.001 <= lr <= 0.1 for lr in late) > 20


@pytest.mark.parametrize("sampler", ["tpe", "gp", "qmc", "random"])
def test_every_sampler_proposes_runs_of_every_kind_of_option(sampler):
    around = (
        Point(base={"method": "sgd"}, vary={"momentum": "0,0.9", "nesterov": (False,)}),
        Point(base={"method": "adam"}, vary={"amsgrad": "true,false", "lr": "0.1,0.2"}),
        Point(vary={"method": "rmsprop,polyak", "beta": "lin:0.1:0.9", "alpha": "0.5,0.9"}),
    )
    vary = {"lr": "log:1e-3:0.1", "hidden": "8;16,16", "batch_size": "lin:8:64"}
    search = OptunaSearch(spec(around=around, vary=vary, sampler=sampler, trials=16))
    runs = []
    while batch := search.ask(2):
        runs += batch
        for run in batch:
            search.tell(run_id(run), run.lr)
    assert {run.method for run in runs} >= {"sgd", "adam"}
    for run in runs:
        assert run.hidden in ((8,), (16, 16))
        assert 8 <= run.batch_size <= 64
        assert run.lr in (0.1, 0.2) if run.method == "adam" else 0.001 <= run.lr <= 0.1
        assert (run.beta is not None) == (run.method == "polyak")


def test_the_same_seed_proposes_the_same_runs():
    proposed = [OptunaSearch(spec(base={"seed": seed})).ask(4) for seed in (1, 1, 2)]
    assert proposed[0] == proposed[1]
    assert [run.lr for run in proposed[1]] != [run.lr for run in proposed[2]]


def test_a_study_goes_on_where_it_stopped(tmp_path):
    stored = spec(storage=f"sqlite:///{tmp_path}/trials.db", seeds=2, trials=3)
    first = OptunaSearch(stored, "mine")
    runs = first.ask(4)
    for run, value in zip(runs[:3], (0.25, 0.75, 0.5), strict=True):
        first.tell(run_id(run), value)
    assert states(first) == [COMPLETE, RUNNING]

    second = OptunaSearch(stored, "mine")
    for run, value in zip(runs[:3], (9.0, 9.0, 0.5), strict=True):
        second.tell(run_id(run), value)  # as the sweep's own record has them
    left = second.ask(9)
    assert left[0] == runs[3]
    assert len(left) == 3
    assert left[1].lr not in {run.lr for run in runs}
    for run in left:
        second.tell(run_id(run), 0.125)
    assert [trial.value for trial in second.study.trials] == [0.5, 0.3125, 0.125]

    third = OptunaSearch(stored, "mine")
    assert third.ask(1) == []
    longer = OptunaSearch(stored.model_copy(update={"trials": 4}), "mine")
    assert len(longer.ask(9)) == 2


def test_a_trial_that_stopped_before_its_runs_were_noted_counts_as_none(tmp_path):
    stored = spec(storage=f"sqlite:///{tmp_path}/trials.db", trials=2)
    first = OptunaSearch(stored)
    first.study.ask()
    second = OptunaSearch(stored)
    assert states(second) == [FAIL]
    assert len(second.ask(9)) == 2


def test_a_study_of_another_space_is_refused(tmp_path):
    storage = f"sqlite:///{tmp_path}/trials.db"
    OptunaSearch(spec(storage=storage)).ask(1)
    with pytest.raises(InputError, match="its study sweep searches another space"):
        OptunaSearch(spec(storage=storage, base={"epochs": 3}))
    OptunaSearch(spec(storage=storage, base={"epochs": 3}), "other")
    foreign = optuna.create_study(storage=storage, study_name="foreign")
    foreign.ask()
    with pytest.raises(InputError, match="its study foreign searches another space"):
        OptunaSearch(spec(storage=storage), "foreign")


@pytest.mark.parametrize("storage", ["nowhere", "sqlite:////no/such/folder/trials.db", "nosql://a"])
def test_a_storage_that_cannot_be_had_is_refused_in_one_line(storage):
    with pytest.raises(InputError) as caught:
        search_of(spec(storage=storage))
    assert str(caught.value).startswith(f"--storage {storage}: cannot be had: ")
    assert "\n" not in str(caught.value)


def test_a_combination_that_makes_no_run_is_refused():
    search = OptunaSearch(spec(vary={"nesterov": (True,), "momentum": "0,0.0"}))
    with pytest.raises(InputError, match="needs momentum > 0"):
        search.ask(1)
    assert states(search) == [FAIL]


def test_without_optuna_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(InputError, match=r"pip install 'gradus\[optuna\]'"):
        search_of(spec())
