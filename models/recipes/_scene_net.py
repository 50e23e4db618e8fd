"""A fully convolutional classifier: scores of ten classes and the ground for each 4 x 4 pixels."""

from __future__ import annotations

from torch import Tensor, nn  # a recipe runs outside the toolkit

STRIDE = 4
"""Pixels of the input along each axis for one of the output."""
CHANNELS = (16, 32, 32, 32, 32, 48, 48)
"""Of the 3 x 3 convolutions, the first two with stride 2. One pixel of the output sees 47 x 47."""
N_SCORES = 11


class SceneNet(nn.Module):
    """Seven 3 x 3 convolutions with batch normalisation and ReLU, and a 1 x 1 convolution."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        n_in = 1
        for at, n_out in enumerate(CHANNELS):
            stride = 2 if at < 2 else 1
            layers += [
                nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False),
                nn.BatchNorm2d(n_out),
                nn.ReLU(),
            ]
            n_in = n_out
        self.features = nn.Sequential(*layers)
        self.head = nn.Conv2d(n_in, N_SCORES, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Scores a batch `(n, 1, h, w)`: `(n, 11, h / 4, w / 4)`, rounded up."""
        scores: Tensor = self.head(self.features(image))
        return scores
