"""What is said when the user's input is wrong."""


class InputError(ValueError):
    """The command or its input is wrong.

    The message is one line that names what is wrong, where it stands, and what would be right. The
    command line prints it and exits with code 2.
    """


class NotPositiveDefiniteError(InputError):
    """A method needs a positive definite matrix, and f has none at this point.

    The message names the step, the smallest eigenvalue of the matrix, and the remedies.
    """


MOST_QUOTED = 200
"""Characters that a message quotes of what was given, or of what another library says of it."""


def quoted(said: object) -> str:
    r"""What was given, or what an error says, in one line of at most ``MOST_QUOTED`` characters.

    Example:
        >>> quoted(ValueError("first line\nsecond"))
        'first line second'
        >>> len(quoted("x" * 10_000))
        200
    """
    text = str(said)[: 10 * MOST_QUOTED]
    line = " ".join(text.split()) or type(said).__name__
    return line if len(line) <= MOST_QUOTED else line[: MOST_QUOTED - 2] + ".."
