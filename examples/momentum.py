"""Why momentum works: three methods on one ill-conditioned valley, from Python."""

import torch

import gradus


def valley(w: torch.Tensor) -> torch.Tensor:
    """f(w) = (w_1^2 + 100 w_2^2) / 2: a hundred times steeper in one direction."""
    return 0.5 * (w[0] ** 2 + 100 * w[1] ** 2)


def main() -> None:
    """Print how far each method has come after 100 steps from the same start."""
    start = torch.tensor([10.0, 1.0], dtype=torch.float64)
    for method in (
        gradus.methods.GradientDescent(lr=0.01),
        gradus.methods.Polyak(lr=0.01, beta=0.8),
        gradus.methods.Nesterov(lr=0.01, beta=0.8),
    ):
        path = gradus.minimize(valley, start, method, steps=100)
        print(f"{type(method).__name__:16s} f = {path.values[-1]:.2e}")


if __name__ == "__main__":
    main()
