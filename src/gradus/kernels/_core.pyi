def built() -> list[str]:
    """Which variants of the kernels were compiled, the fastest first."""

def runnable() -> list[str]:
    """Which of them this processor runs, the fastest first."""
