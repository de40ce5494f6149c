"""Whether a method keeps its promises: one table of checks, on problems whose truth is known.

A method of your own passes through the suite that the methods of Gradus pass through, by one line:

    >>> from dataclasses import dataclass
    >>> import gradus
    >>> @dataclass(frozen=True)
    ... class SignDescent(gradus.methods.GradientAtIterate):
    ...     lr: float
    ...     def init(self, w):
    ...         return None
    ...     def update(self, w, g, state):
    ...         return w - self.lr * g.sign(), state
    >>> gradus.testing.check_method(SignDescent(lr=0.01))

What fails is said in one line, with the problem and what differs. Steps that are all of one length
do not come nearer to a minimum than that:

    >>> gradus.testing.check_method(SignDescent(lr=0.5))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    AssertionError: SignDescent(lr=0.5) fails descent on quadratic in float64: f does not come ...

Where that is meant, ``descends=False`` leaves the check out. Under pytest each check is a test of
its own:

    @pytest.mark.parametrize("case", gradus.testing.cases(SignDescent(lr=0.01)), ids=str)
    def test_sign_descent(case):
        case.run()
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
