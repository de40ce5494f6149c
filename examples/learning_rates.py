"""Which learning rate: three runs of one specification, from Python."""

import gradus


def main() -> None:
    """Print the test accuracy that each learning rate reaches on the digits in three epochs."""
    for lr in (0.001, 0.1, 1.0):
        run = gradus.train(gradus.RunSpec(data="digits", model="linear", lr=lr, epochs=3))
        print(f"lr {lr:g}: {run.status}, accuracy {run.summary['final']['test_accuracy']:.1%}")


if __name__ == "__main__":
    main()
