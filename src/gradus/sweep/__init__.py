"""Many runs: which there are, in which order they are trained, and how they compare."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
