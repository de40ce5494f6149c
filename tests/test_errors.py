"""Messages: one line, and never the whole of what was given."""

from pathlib import Path

import pytest

from gradus import InputError, RunSpec, SweepSpec
from gradus.cli.exit_codes import warn
from gradus.errors import LONGEST_MESSAGE, MOST_QUOTED, quoted


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("adam", "adam"),
        ("", ""),
        ("two\nlines\t", "two lines"),
        (0.1, "0.1"),
        (None, "None"),
        ((64, 64), "(64, 64)"),
        (Path("runs/digits"), "runs/digits"),
        (ValueError("what is wrong"), "what is wrong"),
        (ValueError(), "ValueError"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("größe α", "größe α"),
    ],
)
def test_what_is_short_is_quoted_as_it_is(given, said):
    assert quoted(given) == said


@pytest.mark.parametrize(
    "given",
    [
        "x" * 10**7,
        ["x" * 300] * 9,
        deep(5_000),
        {"a" * 10**6: 1},
        "\0" * 300,
        ValueError("y" * 999),
    ],
    ids=["text", "list", "depth", "key", "controls", "error"],
)
def test_of_what_is_long_or_deep_the_beginning_is_quoted(given):
    said = quoted(given)
    assert len(said) <= MOST_QUOTED
    assert said.isprintable()


def test_no_message_is_endless():
    assert len(str(InputError("x " * 10**6))) == LONGEST_MESSAGE
    assert len(str(InputError("x" * 10**6))) == MOST_QUOTED


@pytest.mark.parametrize("length", [1, 199, 200, 201, 202, 203, 5000])
def test_a_long_path_is_cut_in_its_middle(length):
    path = "/" + "a" * (length - 1)
    said = str(InputError(f"{path} is no file, nor {path}"))
    first, second = said.split(" is no file, nor ")
    assert first == second
    assert len(first) <= MOST_QUOTED
    assert (first == path) == (length <= MOST_QUOTED)


NAMES = ["loss", "method", "lr", "hidden", "betas", "schedule", "seed", "epochs", "x" * 10_000]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("given", ["y" * 10_000, [deep(40)] * 400], ids=["text", "list"])
def test_an_option_of_any_content_is_one_short_line(name, given):
    with pytest.raises(InputError) as caught:
        RunSpec.read({name: given}, where="here: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 3 * MOST_QUOTED


@pytest.mark.parametrize("data", ["a\0b", "a\ud800"])
def test_data_that_no_path_can_name_are_refused_as_they_are_read(data):
    with pytest.raises(InputError, match=r"^--data a.*: holds a character that no path has$"):
        RunSpec.read({"data": data})
    with pytest.raises(InputError, match=r"--data a.*: holds a character that no path has$"):
        SweepSpec.read({"base": {"data": data}, "vary": {"lr": (1, 2)}})


def test_a_terminal_obeys_nothing_that_a_message_quotes(capsys):
    warn("\x1b[2Jgone\x07 größe\n")
    assert capsys.readouterr().err == "gradus: \\x1b[2Jgone\\x07 größe\n"
