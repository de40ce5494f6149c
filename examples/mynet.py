"""A model of one's own, for `gradus train digits --model examples.mynet:make`."""

from torch import nn


def make(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """A small convolutional network for images of any size.

    A factory takes ``input_shape`` (without the batch) and ``outputs``, or neither: Gradus passes
    those of the two that it has parameters for.
    """
    channels, height, width = input_shape
    return nn.Sequential(
        nn.Conv2d(channels, 8, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * (height // 2) * (width // 2), outputs),
    )
