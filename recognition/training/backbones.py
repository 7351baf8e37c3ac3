"""Networks that turn an aligned face into a vector, ready to be trained from nothing.

All take (N, 3, 112, 112) RGB, values as `recognition.embed.normalise` gives them, and give vectors
that are not yet of length 1.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from recognition.align import FACE_SIZE
from recognition.embed import DIMENSION
from recognition.training.inception_resnet import InceptionResNetV1
from recognition.training.mobilefacenet import TrainableMobileFaceNet

# Channels of the convolutions of VGG's configuration D, a list for each pooling.
_VGG16 = ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3)
_VGG_WIDTH = 4096


class Vgg16(nn.Module):
    """VGG's configuration D (Simonyan and Zisserman, 2015, arXiv:1409.1556), the baseline.

    Thirteen 3x3 convolutions, five max-poolings, and three linear layers of which the last gives
    the vector. With side 224, 1000 outputs and without normalisation it is the published network.

    Args:
        dimension: of the vectors.
        normalised: batch normalisation after each convolution; without it this depth hardly learns
            from random weights.
        side: of the faces, in pixels; at least 32.
    """

    def __init__(self, dimension: int, *, normalised: bool = True, side: int = FACE_SIZE) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inside = 3
        for stage in _VGG16:
            for outside in stage:
                layers.append(nn.Conv2d(inside, outside, 3, padding=1, bias=not normalised))
                layers += [nn.BatchNorm2d(outside)] if normalised else []
                layers.append(nn.ReLU())
                inside = outside
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        places = (side // 2 ** len(_VGG16)) ** 2
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(inside * places, _VGG_WIDTH),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(_VGG_WIDTH, _VGG_WIDTH),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(_VGG_WIDTH, dimension),
        )
        for module in self.features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, faces: Tensor) -> Tensor:
        """(N, 3, side, side) float32 -> (N, dimension) float32."""
        output: Tensor = self.head(self.features(faces))
        return output


class SmallNet(nn.Module):
    """A few convolutions on faces halved twice: learns something in minutes on one core.

    For comparisons of losses and for tests, not for a door.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.AvgPool2d(2),
            *_halving(3, 32),  # 28 x 28
            *_halving(32, 64),
            *_halving(64, 128),
            *_halving(128, 192),  # 4 x 4
            nn.Flatten(),
            nn.Linear(192 * 4 * 4, dimension, bias=False),
            nn.BatchNorm1d(dimension),
        )

    def forward(self, faces: Tensor) -> Tensor:
        """(N, 3, 112, 112) float32 -> (N, dimension) float32."""
        output: Tensor = self.layers(faces)
        return output


def _halving(inside: int, outside: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inside, outside, 3, 2, padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.PReLU(outside),
    ]


_MAKERS: dict[str, Callable[[int], nn.Module]] = {
    "mobilefacenet": TrainableMobileFaceNet,
    "inception-resnet-v1": InceptionResNetV1,
    "vgg16": Vgg16,
    "small": SmallNet,
}
BACKBONES = tuple(_MAKERS)
"""Names that `backbone` knows."""


def backbone(name: str, dimension: int = DIMENSION) -> nn.Module:
    """A network of one of BACKBONES with random weights, drawn by torch's own generator.

    Args:
        dimension: of its vectors.

    Raises:
        ValueError: no such name.
    """
    if name not in _MAKERS:
        raise ValueError(f"there is no backbone {name!r}, only {', '.join(BACKBONES)}")
    return _MAKERS[name](dimension)
