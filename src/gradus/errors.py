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
