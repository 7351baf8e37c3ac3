"""The program that runs one peer, in the peers' own environment, by that environment's Python.

It imports nothing of this project. Requests come as JSON lines on stdin, each is answered by one
on stdout; whatever the libraries print goes to stderr. A failure ends it with a traceback there.

    {"do": "keep", "key": K, "shape": [H, W], "pixels": BASE64, "jpeg": BASE64 or null}  ->  {}
    {"do": "chain" or "detect", "key": K}  ->  {"ms", "cpu_ms", "faces", "boxes"}

`chain` goes from the JPEG file to embeddings, `detect` from pixels to boxes (x1, y1, x2, y2).
What it starts with is {"peer": NAME, "versions": {...}}.
"""

from __future__ import annotations

import base64
import io
import json
import os
import sys
import time
import types
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, Protocol, TextIO

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # (H, W, 3), RGB
Boxes = list[list[float]]

SMALLEST_FACE = 40


class Peer(Protocol):
    """A library under comparison. `packages` are the distributions that its speed depends on."""

    packages: tuple[str, ...]

    def chain(self, jpeg: bytes) -> int:
        """Find and embed the faces of a JPEG file; how many there are."""

    def detect(self, pixels: Pixels) -> Boxes:
        """Find the faces."""


class FaceRecognition:
    """face_recognition, every setting at its default."""

    packages: tuple[str, ...] = ("face_recognition", "dlib-bin")

    def __init__(self) -> None:
        import face_recognition

        self._library = face_recognition

    def chain(self, jpeg: bytes) -> int:
        """As its documentation does it: load the file, encode its faces."""
        image = self._library.load_image_file(io.BytesIO(jpeg))
        return len(self._library.face_encodings(image))

    def detect(self, pixels: Pixels) -> Boxes:
        """The histogram-of-gradients detector on the image enlarged once, its default."""
        found = self._library.face_locations(pixels)
        return [[left, top, right, bottom] for top, right, bottom, left in found]


class FacenetPytorch:
    """facenet-pytorch's MTCNN with its own weights, for faces from 40 pixels; no embedding."""

    packages: tuple[str, ...] = ("facenet-pytorch", "torch")

    def __init__(self) -> None:
        _stand_in_for_torchvision()
        import torch

        _skip_package_init("facenet_pytorch")
        from facenet_pytorch.models.mtcnn import MTCNN

        torch.set_num_threads(1)
        self._net = MTCNN(min_face_size=SMALLEST_FACE, keep_all=True)

    def chain(self, jpeg: bytes) -> int:
        """It is compared in detection only."""
        raise NotImplementedError("facenet-pytorch is compared in detection only")

    def detect(self, pixels: Pixels) -> Boxes:
        """All faces."""
        boxes, _ = self._net.detect(pixels)
        return [] if boxes is None else [[float(side) for side in box] for box in boxes]


PEERS: dict[str, Callable[[], Peer]] = {
    "face_recognition": FaceRecognition,
    "facenet_pytorch": FacenetPytorch,
}


def _skip_package_init(name: str) -> None:
    """Let modules of a package be imported without what its `__init__` imports.

    facenet-pytorch's wants HTTP clients for weights that are not used here.
    """
    spec = find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    package = types.ModuleType(name)
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = package


def _stand_in_for_torchvision() -> None:
    """Give facenet-pytorch the one function of torchvision that its detection calls.

    torchvision's compiled part loads only beside the very build of torch that it was made for, and
    there is none for torch's CPU build on PyPI. `batched_nms` below does the same with OpenCV's
    compiled suppression. `transforms.functional` is imported there, but not used in detection.
    """
    names = ("torchvision", "torchvision.transforms", "torchvision.ops", "torchvision.ops.boxes")
    modules: dict[str, Any] = {name: types.ModuleType(name) for name in names}
    modules["torchvision.transforms"].functional = None
    modules["torchvision.ops.boxes"].batched_nms = batched_nms
    sys.modules.update(modules)


def batched_nms(boxes: Any, scores: Any, idxs: Any, iou_threshold: float) -> Any:
    """torchvision's `ops.boxes.batched_nms` on the CPU: non-maximum suppression within groups.

    Args:
        boxes: (N, 4) tensor, x1, y1, x2, y2.
        scores: (N,) tensor.
        idxs: (N,) integer tensor, each box's group.
        iou_threshold: a box is dropped if it overlaps a better kept one by more.

    Returns:
        (K,) int64 tensor of the kept boxes, by falling score.
    """
    import cv2
    import torch

    if len(boxes) == 0:
        return torch.empty(0, dtype=torch.int64)
    corners = boxes.double().numpy()
    rectangles: Any = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)
    values: Any = scores.float().numpy()
    groups: Any = idxs.to(torch.int32).numpy()
    kept = cv2.dnn.NMSBoxesBatched(rectangles, values, groups, -np.inf, iou_threshold)
    order = np.asarray(kept, dtype=np.int64).reshape(-1)
    return torch.from_numpy(order[np.argsort(-values[order], kind="stable")])


class Server:
    """Answers the requests to one peer."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._frames: dict[str, tuple[Pixels, bytes]] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request."""
        key = request["key"]
        if request["do"] == "keep":
            pixels = np.frombuffer(base64.b64decode(request["pixels"]), dtype=np.uint8)
            jpeg = base64.b64decode(request["jpeg"] or "")
            self._frames[key] = pixels.reshape(*request["shape"], 3).copy(), jpeg
            return {}
        pixels, jpeg = self._frames[key]
        boxes: Boxes = []
        clock, cpu = time.perf_counter(), time.process_time()
        if request["do"] == "chain":
            faces = self._peer.chain(jpeg)
        else:
            boxes = self._peer.detect(pixels)
            faces = len(boxes)
        taken, used = time.perf_counter() - clock, time.process_time() - cpu
        return {"ms": 1000 * taken, "cpu_ms": 1000 * used, "faces": faces, "boxes": boxes}


def serve(name: str, requests: TextIO, answers: TextIO) -> None:
    """Answer requests until there are no more."""

    def say(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    peer = PEERS[name]()
    say({"peer": name, "versions": {package: version(package) for package in peer.packages}})
    server = Server(peer)
    for line in requests:
        say(server.answer(json.loads(line)))


def main() -> None:
    """Serve the peer that the command line names."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # libraries print to stdout, which is for answers only
        serve(sys.argv[1], sys.stdin, answers)


if __name__ == "__main__":
    main()
