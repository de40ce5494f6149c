"""Many runs: which there are, how they are trained side by side, and what remains of them."""

import sys
from types import ModuleType
from typing import Any

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


class _Sweeps(ModuleType):
    """This package, which is called as the function of its name is.

    ``gradus.sweep(spec)`` trains a sweep, as ``gradus.train(spec)`` trains a run. Once any module
    in here has been imported, Python has put the package in the place of the function.
    """

    def __call__(self, *given: Any, **options: Any) -> Any:
        from gradus.sweep.sweep import sweep

        return sweep(*given, **options)


sys.modules[__name__].__class__ = _Sweeps
