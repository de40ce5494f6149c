"""Many runs: which there are, how they are trained side by side, and what remains of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
