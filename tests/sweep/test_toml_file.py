"""In which line of a file an error stands: whatever the file looks like, and soon."""

import random
import tomllib

import pytest

from gradus import InputError
from gradus.sweep.toml_file import _holds, _line, read_toml


def line_by_every_prefix(text, keys):
    """The same by its definition: the statement that is the first to hold the value."""
    lines, above = text.split("\n"), 0
    for end in range(1, len(lines) + 1):
        try:
            content = tomllib.loads("\n".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue
        if _holds(content, keys):
            return above + 1
        above = end
    return None


STATEMENTS = [
    "# a comment: [ { ' \" ''' \"\"\"",
    "",
    'a{} = "text [ # not a comment"',
    "b{} = 'it [ is'",
    'c{} = """\nlines [\n\\""" # and "quotes" [[\n"""',
    "d{} = '''\n\"\"\" { \\\n'' ' '''",
    "e{} = [\n  1, # one ]\n  2,\n  [3, [4]],\n]",
    'f{} = { x = [1, 2], y = "]" }  # }',
    'g{}."h.h" = "\\" ["',
    "[i{}]",
    "[[j]]",
    'k{} = """"two quotes"" ["""""',
    "l{} = ''''one''''",
    'm{} = ""',
]


@pytest.mark.parametrize("seed", range(40))
def test_it_is_the_first_statement_that_holds_the_value(seed):
    choose = random.Random(seed)
    text = "\n".join(
        choose.choice(STATEMENTS).replace("{}", str(n)) for n in range(choose.randint(1, 25))
    )
    if choose.random() < 0.5:
        text += "\n"
    content = tomllib.loads(text)
    paths = [("not there",), *((key,) for key in content)]
    paths += [(key, inner) for key, part in content.items() if isinstance(part, dict)
              for inner in part]  # fmt: skip
    paths += [("j", at, key) for at, part in enumerate(content.get("j", ())) for key in part]
    for keys in paths:
        assert _line(text, keys) == line_by_every_prefix(text, keys), (text, keys)


ROWS = 4_000
LONG = {
    "of statements": "\n".join(f"# {n}" for n in range(ROWS)) + "\n[base]\nlr = 'fast'\n",
    "of one array": "[vary]\nlr = [\n" + "0.1,\n" * ROWS + "'fast',\n]\n",
    "of tables": "\n".join("[[around]]" for _ in range(ROWS)) + "\nbase = { lr = 'fast' }\n",
    "of texts": "[base]\ndata = '''\n" + "row [\n" * ROWS + "'''\nlr = 'fast'\n",
}
LINES = {"of statements": ROWS + 2, "of one array": 2, "of tables": ROWS + 1, "of texts": ROWS + 4}


@pytest.mark.parametrize("kind", LONG)
def test_a_long_file_with_an_error_at_its_end_is_said_with_its_line(tmp_path, kind):
    path = tmp_path / "sweep.toml"
    path.write_text(LONG[kind])
    with pytest.raises(InputError) as caught:
        read_toml(path)
    assert f"{path}, line {LINES[kind]}: --lr fast: " in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("text", ["lr = " + "[" * 200_000, "a." * 200_000 + "a = 1", "[" * 9_999])
def test_what_is_nested_deep_is_one_line(tmp_path, text):
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    with pytest.raises(
        InputError, match=r"sweep\.toml: not the specification of a sweep: .{1,200}$"
    ):
        read_toml(path)
