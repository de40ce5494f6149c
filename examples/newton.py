"""What curvature buys: Newton's method beside gradient descent, a 3 from an 8 among the digits."""

import torch

import gradus


def main() -> None:
    """Print how far above the minimum each method stands, step by step."""
    x, y = gradus.data.load("digits").train.batch()
    chosen = (y == 3) | (y == 8)
    data = x[chosen].double(), (y[chosen] == 8).long()
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2)).double()
    risk = gradus.EmpiricalRisk(
        model, gradus.CrossEntropyLoss(), data, gradus.penalties.SquaredL2(0.01)
    )
    start = torch.zeros(risk.dimension, dtype=torch.float64)
    # 0.15 is one over the largest curvature, for which gradus.curvature.eigenvalues can be asked.
    descent = gradus.minimize(risk, start, gradus.methods.GradientDescent(lr=0.15), steps=8)
    newton = gradus.minimize(risk, start, gradus.methods.Newton(), steps=8)
    print(f"{risk.dimension} parameters, {len(data[0])} images; f less its minimum")
    print("step  gradient descent  Newton")
    for step, (slow, fast) in enumerate(zip(descent.values, newton.values, strict=True)):
        least = newton.values[-1]
        print(f"{step:4d}  {slow - least:16.1e}  {max(fast - least, 0.0):.1e}")


if __name__ == "__main__":
    main()
