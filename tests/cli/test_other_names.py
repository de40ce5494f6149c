"""What users of PyTorch, Keras and scikit-learn type leads to the option of ours."""

import pytest

from gradus.cli import cli, main
from gradus.runs.other_names import OTHER_CHOICES, OTHER_NAMES
from gradus.runs.spec import RunSpec, choices


@pytest.fixture
def say(capsys):
    """What the command line says of arguments that are wrong, without its name."""

    def said(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line.removeprefix("gradus: ")

    return said


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        ("train --optimizer sgd", "--method"),
        ("train --solver=lbfgs", "--method"),
        ("train --learning-rate 0.1", "--lr"),
        ("train --learning_rate=0.1", "--lr"),
        ("train --criterion mse", "--loss"),
        ("train --sample-weight w", "--weights"),
        ("train --scale-pos-weight 3", "--class-weight"),
        ("train --n-epochs 3", "--epochs"),
        ("train --max_iter 3", "--epochs"),
        ("train --random-state 1", "--seed"),
        ("train --batch 32", "--batch-size"),
        ("train --batch_size 32", "--batch-size"),
        ("train --hidden-layer-sizes 32", "--hidden"),
        ("train --lr-scheduler cosine", "--schedule"),
        ("train --step-size 3", "--lr or --decay-every"),
        ("train --lambda 0.1", "--strength"),
        ("train --wd 0.1", "--weight-decay"),
        ("train --test-size 0.3", "--test-fraction"),
        ("train --output x", "--out"),
        ("train --momentm 0.5", "--momentum"),
        ("sweep --n-jobs 2", "--workers"),
        ("sweep --n-trials 2", "--trials"),
        ("compare digits --metric x", "--measure"),
    ],
)
def test_the_option_that_is_meant_is_named(say, arguments, meant):
    given = arguments.split("--")[1].replace("=", " ").split()[0]
    first, *more = meant.split(" or ")
    said = say(*arguments.split())
    assert said.startswith(f"--{given}: no such option; did you mean {first}")
    assert all(f"or {other}" in said for other in more)
    assert said.endswith("?")


@pytest.mark.parametrize(
    ("arguments", "choice"),
    [
        ("--metrics acc", "accuracy"),
        ("--metrics roc_auc", "auc"),
        ("--metrics f1,r2_score", "r2"),
        ("--loss bce", "cross-entropy"),
        ("--loss mae", "l1"),
        ("--loss quantile", "pinball"),
    ],
)
def test_the_choice_that_is_meant_is_named(say, arguments, choice):
    assert say("train", *arguments.split()).endswith(f" (did you mean {choice}?)")


def test_data_are_no_option(say):
    assert say("train", "--dataset", "digits") == (
        "--dataset: no such option; the data stand without one, as in gradus train digits"
    )


def test_an_option_like_none_leads_to_the_help(say):
    assert say("train", "--zzzzzz") == "--zzzzzz: no such option; --help lists those there are"


def test_what_another_command_has_is_not_proposed(say):
    assert "--method" not in say("compare", "digits", "--optimizer", "sgd")


def test_every_name_in_the_table_is_foreign_and_leads_to_an_option_that_exists():
    known = {
        name.removeprefix("--")
        for command in cli.commands.values()
        for param in command.get_params(
            command.make_context("gradus", ["x"], resilient_parsing=True)
        )
        for name in param.opts
    }

    assert OTHER_NAMES.keys() <= known
    fields = RunSpec.model_fields
    chosen = {each for name in ("metrics", "loss") for each in choices(fields[name].annotation)}
    assert OTHER_CHOICES.keys() <= chosen
    for name, others in OTHER_NAMES.items():
        assert name not in others.split()
