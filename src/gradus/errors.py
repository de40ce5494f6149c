"""What is said when the user's input is wrong."""

from __future__ import annotations

import os
import re
import reprlib

MOST_QUOTED = 200
"""Characters that a message quotes of what was given, or of what another library says of it."""

LONGEST_MESSAGE = 2000
"""Characters of a message, however many things it quotes."""

_BRIEFLY = reprlib.Repr()
_BRIEFLY.maxlevel, _BRIEFLY.maxstring, _BRIEFLY.maxother = 3, MOST_QUOTED, MOST_QUOTED


class InputError(ValueError):
    """The command or its input is wrong.

    The message is one line that names what is wrong, where it stands, and what would be right. The
    command line prints it and exits with code 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(shortened(message))


class OwnCodeError(InputError):
    """Code of the user's own fails, or gives what it may not; the message says which."""


class ProcessLostError(InputError):
    """A process that trained a run together with this one has ended before it.

    The message says which, and why, as far as it is known.

    Attributes:
        is_said: whether that process has said so itself, to the user of all.
    """

    is_said = False


class NotPositiveDefiniteError(InputError):
    """A method needs a positive definite matrix, and f has none at this point.

    The message names the step, the smallest eigenvalue of the matrix, and the remedies.
    """


def shortened(message: str) -> str:
    """A message in which no word, as a path, has more than ``MOST_QUOTED`` characters.

    What is in the middle of it is left out. The whole is cut at ``LONGEST_MESSAGE``.

    Example:
        >>> shortened(f"/tmp/{'x' * 500}/run.json: no such file")[-27:]
        'xxxx/run.json: no such file'
    """
    half = (MOST_QUOTED - 2) // 2
    message = re.sub(rf"(\S{{{half}}})\S{{3,}}(\S{{{half}}})", r"\1..\2", message)
    return message if len(message) <= LONGEST_MESSAGE else message[: LONGEST_MESSAGE - 2] + ".."


def quoted(given: object, most: int = MOST_QUOTED) -> str:
    r"""What was given, or what an error says, in one line of at most so many characters.

    Args:
        given: of any type and size: of what is deep or long only the beginning is looked at. What
            a terminal would obey and not show, as colours, is written out.
        most: characters.

    Example:
        >>> quoted(ValueError("first line\nsecond")), quoted([0.1, 0.2]), quoted("red: \x1b[31m")
        ('first line second', '[0.1, 0.2]', 'red: \\x1b[31m')
        >>> len(quoted("x" * 10_000))
        200
    """
    told = isinstance(given, str | os.PathLike | BaseException)
    text = (str(given) if told else _BRIEFLY.repr(given))[: 10 * most]
    line = " ".join(text.split())
    if not line and isinstance(given, BaseException):
        line = type(given).__name__
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in line[: most + 1])
    return brief(line, most)


def brief(text: str, most: int = 60) -> str:
    """The beginning of a name, for a message that says it among other things.

    Example:
        >>> brief("petal_length"), brief("x" * 100, 8)
        ('petal_length', 'xxxxxx..')
    """
    return text if len(text) <= most else text[: most - 2] + ".."


def reason(error: BaseException) -> str:
    r"""What an error says, its first line, quoted; the name of its class where it says nothing.

    Example:
        >>> reason(ValueError("first line\nsecond")), reason(SystemExit())
        ('first line', 'SystemExit')
    """
    return quoted(str(error).partition("\n")[0]) if str(error) else type(error).__name__
