"""The three networks of MTCNN (Zhang et al., 2016, arXiv:1604.02878).

All take RGB images, (N, 3, H, W) float32, each value (v - 127.5) / 128, in the usual
orientation: the published weights were trained on transposed images, and the conversion
(`recognition.conversion`) has already turned them.

Of the outputs, `probability` is that of a face, 0..1; `regression` is how far the four sides
(x1, y1, x2, y2) should move, in widths (heights) of the window; `points` are the five landmarks
in widths (heights) from the window's left (top) side, x of all five first, then y.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from recognition.compiled import CompiledNet
from recognition.weights import WeightsError, load_trained

Thresholds = tuple[float, float, float]
"""Least probability of a face after P-, R- and O-Net, each above 0 and below 1."""

THRESHOLDS: Thresholds = (0.6, 0.7, 0.85)
"""Those of the published weights. O-Net gives real faces 0.98 and more and folds of clothing up to
0.88; MTCNN's usual 0.7 lets most of those through."""


class ProposalNet(nn.Module):
    """P-Net: slides a 12x12 window over the image in steps of 2."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 10, 3),
            nn.PReLU(10),
            nn.MaxPool2d(2, 2, ceil_mode=True),
            nn.Conv2d(10, 16, 3),
            nn.PReLU(16),
            nn.Conv2d(16, 32, 3),
            nn.PReLU(32),
        )
        self.face = nn.Conv2d(32, 2, 1)
        self.box = nn.Conv2d(32, 4, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) -> probability (B, h, w), regression (B, 4, h, w)."""
        features = self.features(images)
        return self.face(features).softmax(1)[:, 1], self.box(features)


class RefineNet(nn.Module):
    """R-Net: judges 24x24 windows."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 28, 3),
            nn.PReLU(28),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.Conv2d(28, 48, 3),
            nn.PReLU(48),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(48, 64, 2),
            nn.PReLU(64),
            nn.Flatten(),
            nn.Linear(64 * 3 * 3, 128),
            nn.PReLU(128),
        )
        self.face = nn.Linear(128, 2)
        self.box = nn.Linear(128, 4)

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, 24, 24) -> probability (N,), regression (N, 4)."""
        features = self.features(windows)
        return self.face(features).softmax(1)[:, 1], self.box(features)


class OutputNet(nn.Module):
    """O-Net: judges 48x48 windows and finds the landmarks."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 32, 3),
            nn.PReLU(32),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.Conv2d(32, 64, 3),
            nn.PReLU(64),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 64, 3),
            nn.PReLU(64),
            nn.MaxPool2d(2, 2),
            nn.Conv2d(64, 128, 2),
            nn.PReLU(128),
            nn.Flatten(),
            nn.Linear(128 * 3 * 3, 256),
            nn.PReLU(256),
        )
        self.face = nn.Linear(256, 2)
        self.box = nn.Linear(256, 4)
        self.points = nn.Linear(256, 10)

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 3, 48, 48) -> probability (N,), regression (N, 4), points (N, 10)."""
        features = self.features(windows)
        probability = self.face(features).softmax(1)[:, 1]
        return probability, self.box(features), self.points(features)


class Mtcnn(nn.Module):
    """The three networks together, as one file of weights holds them.

    thresholds: that go with the weights; whoever loads others than the published ones sets them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.thresholds = THRESHOLDS
        self.pnet: nn.Module = ProposalNet()
        self.rnet: nn.Module = RefineNet()
        self.onet: nn.Module = OutputNet()


def load_cascade(path: Path) -> Mtcnn:
    """A detector that was trained here, with the thresholds chosen for it; in evaluation mode.

    Raises:
        WeightsError: as `load_trained`; or the thresholds are none.
    """
    net = Mtcnn()
    about = load_trained(net, path)
    match about.get("thresholds", THRESHOLDS):
        case [float(p), float(r), float(o)] if all(0 < value < 1 for value in (p, r, o)):
            net.thresholds = (p, r, o)
        case _:
            raise WeightsError(f"The thresholds in {path} are none; train the detector again.")
    return net


def compile_mtcnn(net: Mtcnn, threads: int) -> Mtcnn:
    """The same detector, its networks run by OpenVINO; on the CPU, in evaluation mode."""
    fast = Mtcnn()
    fast.thresholds = net.thresholds
    fast.pnet = CompiledNet(
        net.pnet,
        torch.zeros(1, 3, 48, 48),
        largest_batch=1,  # larger ones would not fit the processor's cache
        any_size=True,
        own_programs=32,  # the pyramids of a few cameras
        threads=threads,
    )
    fast.rnet = CompiledNet(
        net.rnet, torch.zeros(2, 3, 24, 24), largest_batch=16, own_programs=5, threads=threads
    )
    fast.onet = CompiledNet(
        net.onet, torch.zeros(2, 3, 48, 48), largest_batch=8, own_programs=4, threads=threads
    )
    return fast.eval()
