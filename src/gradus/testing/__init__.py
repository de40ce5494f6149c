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

Where that is meant, ``descends=False`` leaves that check out; so does ``batches=False`` where a
step on a batch also looks at all of f. ``monotonicity`` is checked where it is asked for, and all
others hold of every method:

    >>> for check in gradus.testing.CHECKS:
    ...     print(f"{check.name}: {check.holds}")
    dtype: points and states keep the dtype of w
    zeros: entries without a gradient stay finite
    device: points and states stay on the device of w
    purity: w, the state, and all that f gave are left as they were
    determinism: two runs are the same to the bit, and finite
    rewinding: a run goes on from any point and state, to the bit
    rows: [K, d] is K separate runs
    lists: a list of tensors moves as the flat vector
    numbers: 0-d tensors give what the numbers give
    columns: hyper-parameters [K, 1] are those of K runs
    batches: a step on a batch is that on a risk of its examples
    descent: f comes to stay near its minimum
    monotonicity: f never rises

Under pytest each check is a test of its own::

    @pytest.mark.parametrize("case", gradus.testing.cases(SignDescent(lr=0.01)), ids=str)
    def test_sign_descent(case):
        case.run()
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
