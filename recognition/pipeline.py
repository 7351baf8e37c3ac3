"""From image bytes to faces with embeddings: one path for enrolment, kiosks and evaluation."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from recognition import compiled, embedders
from recognition.align import FACE_SIZE, TEMPLATE
from recognition.detect import DetectorName, DetectorSettings, detect, second_look
from recognition.detections import Detections
from recognition.embedders import Embedder, embed_faces
from recognition.images import (
    FRAME_LIMITS,
    DecodedImage,
    ImageError,
    ImageLimits,
    decode,
)
from recognition.memory import keep_freed_memory
from recognition.minifasnet import MiniFasNetPair, compile_pair
from recognition.minifasnet import attack_scores as pair_scores
from recognition.mtcnn import Mtcnn, compile_mtcnn, load_cascade
from recognition.pad import AntiSpoofingTree, tree_scores
from recognition.precision import Precision, reduces
from recognition.quality import measure
from recognition.retinaface import RetinaFace, compile_retinaface
from recognition.sampling import ImageSet
from recognition.types import Face, FrameResult, ModelInfo, Pixels, Quality
from recognition.weights import load_into, present_extras, published

Runtime = Literal["auto", "torch", "openvino"]

_WARM_RUNS = 3
"""OpenVINO makes a program for a shape at its second run."""


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    """What is known of the detections, row by row."""

    detections: Detections
    qualities: list[Quality]
    embeddings: Tensor
    pads: list[float | None]


@dataclass(slots=True, eq=False)
class Networks:
    """What a pipeline runs.

    pair: MiniFASNet, where it is installed.
    second_embedder, adapter, lengths_known: as in `Embedder`.
    """

    detector: nn.Module
    embedder: nn.Module
    antispoofing: AntiSpoofingTree
    pair: MiniFasNetPair | None = None
    second_embedder: nn.Module | None = None
    adapter: nn.Module | None = None
    lengths_known: bool = False


class Pipeline:
    """The loaded networks and what they do together. Use `Pipeline.load`.

    One pipeline serves one thread at a time; results never depend on earlier calls.
    """

    def __init__(self, networks: Networks, model: ModelInfo, device: torch.device) -> None:
        self.detector = networks.detector
        self.embedder = networks.embedder
        self.antispoofing = networks.antispoofing
        self.pair = networks.pair
        self.second_embedder = networks.second_embedder
        self.adapter = networks.adapter
        self._lengths_known = networks.lengths_known
        self.model = model
        self.device = device
        # A GPU is fed by all cores; on the CPU decoding takes as many threads as the rest.
        threads = (os.cpu_count() or 1) if device.type == "cuda" else torch.get_num_threads()
        self._decoders = ThreadPoolExecutor(threads, "decode") if threads > 1 else None
        self.runtime: Runtime = "torch"
        self.precision: Precision = "float32"

    @classmethod
    def load(
        cls,
        models_dir: Path,
        *,
        device: str = "auto",
        threads: int | None = None,
        runtime: Runtime = "auto",
        precision: Precision = "auto",
        embedder: str = "fused",
        detector: DetectorName | Path = "retinaface",
    ) -> Pipeline:
        """Load the converted models.

        Args:
            models_dir: as `fetch-models` leaves it.
            device: "cpu", "cuda", "cuda:1", ...; "auto" takes CUDA if there is any.
            threads: of torch on the CPU, for the whole process; None leaves them as they are.
            runtime: what runs the networks; "auto" takes OpenVINO on the CPU where it is
                installed, else torch. Both give the same faces, up to rounding.
            precision: "reduced" computes in 16 bits; on CUDA the embedders in float16, on the CPU
                the detector, too, in bfloat16; "auto" does so where the processor is made for it.
                Vectors of both are comparable: a face's have a cosine of 0.9999 in the median.
            embedder: one of `imported.BUILT_IN`, or the name of an imported model, which torch
                runs in any case.
            detector: what finds the faces; MTCNN is there to compare with, and to train: a path
                is that of its weights as `train mtcnn` writes them.

        Raises:
            WeightsError: models are missing or changed, an optional one that was installed too.
            ValueError: OpenVINO is asked for on another device or for an imported model, or is
                not installed.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        target = torch.device(device)
        if target.type == "cpu":
            keep_freed_memory()
        compiles = _compiles(runtime, target)
        reduced = reduces(precision, target, compiled=compiles)
        loaded = embedders.load(models_dir, embedder, target)
        found = embedders.quickened(loaded, compiles=compiles, reduced=reduced)
        networks = _load(models_dir, target, found, detector)
        if compiles:
            _compile(networks, bfloat16=reduced)
        if target.type == "cuda":  # else convolutions round what they are given to 10 bits
            torch.backends.cudnn.allow_tf32 = reduced
        pipeline = cls(networks, found.model, target)
        pipeline.runtime = "openvino" if compiles else "torch"
        pipeline.precision = "reduced" if reduced else "float32"
        return pipeline

    def beside(self, models_dir: Path, embedder: str) -> Pipeline:
        """A pipeline with another embedder that shares everything else, and its one thread.

        Raises WeightsError.
        """
        compiles, reduced = self.runtime == "openvino", self.precision == "reduced"
        loaded = embedders.load(models_dir, embedder, self.device)
        found = embedders.quickened(loaded, compiles=compiles, reduced=reduced)
        nets = Networks(self.detector, found.first, self.antispoofing, self.pair, found.second)
        nets.adapter, nets.lengths_known = found.adapter, found.lengths_known
        other = Pipeline(nets, found.model, self.device)
        other.runtime, other.precision = self.runtime, self.precision
        return other

    @property
    def embedding(self) -> Embedder:
        """What this pipeline embeds with."""
        parts = (self.second_embedder, self.adapter, self._lengths_known)
        return Embedder(self.embedder, self.model, self.device, *parts)

    def warm_up(self, width: int = 640, height: int = 480) -> None:
        """Run every network on what a camera of this size shows with one face, until it is fast.

        The first runs of a shape prepare kernels for it; whoever came first would wait for them.
        """
        side = 0.3 * min(width, height)
        corner = np.array([0.3 * width, 0.3 * height])
        number, whole = np.zeros(1, np.int64), np.ones(1)
        points = corner + np.array([TEMPLATE]) * (side / FACE_SIZE)
        box = torch.tensor([[*corner, *(corner + side)]], dtype=torch.float32)
        face = Detections(
            torch.from_numpy(number).to(self.device),
            box.to(self.device),
            torch.from_numpy(points.astype(np.float32)).to(self.device),
            torch.ones(1, device=self.device),
        )
        with torch.inference_mode():
            images = ImageSet([np.zeros((height, width, 3), np.uint8)], self.device)
            for _ in range(_WARM_RUNS):
                detect(self.detector, images, DetectorSettings())
                if not isinstance(self.detector, Mtcnn):
                    second_look(self.detector, images, number, points, whole)
                self._measure(images, face, [True])

    @property
    def pad_model(self) -> ModelInfo:
        """Which model scores presentation attacks: MiniFASNet where installed, else the tree."""
        return published("minifasnet" if self.pair else "antispoofing").info

    def analyse(
        self,
        images: Sequence[bytes],
        *,
        smallest_face: int = 40,
        with_pad: bool | Sequence[bool] = False,
        limits: ImageLimits = FRAME_LIMITS,
    ) -> list[FrameResult]:
        """Decode and analyse a batch of files; one result for each, in their order.

        A file that cannot be decoded gives a result with `error` and leaves the others alone.

        Args:
            images: JPEG, PNG or WebP files.
            smallest_face: side of the smallest face to find, in pixels of the (reduced) image.
            with_pad: whether to score presentation attacks, in all or in each of the images;
                without MiniFASNet that costs more than all the rest.
            limits: what is refused, and to which size larger images are reduced.
        """
        decoded = self._decoded(images, limits)
        pixels = [entry.pixels for entry in decoded if isinstance(entry, DecodedImage)]
        wanted = [
            wants
            for entry, wants in zip(decoded, _each(with_pad, len(images)), strict=True)
            if isinstance(entry, DecodedImage)
        ]
        found = iter(self.analyse_pixels(pixels, smallest_face=smallest_face, with_pad=wanted))
        return [
            FrameResult(0, 0, error=entry.message, error_code=entry.code)
            if isinstance(entry, ImageError)
            else _unreduced(next(found), entry)
            for entry in decoded
        ]

    def _decoded(
        self, images: Sequence[bytes], limits: ImageLimits
    ) -> list[DecodedImage | ImageError]:
        def one(data: bytes) -> DecodedImage | ImageError:
            try:
                return decode(data, limits)
            except ImageError as error:
                return error

        if self._decoders is None or len(images) == 1:
            return [one(data) for data in images]
        return list(self._decoders.map(one, images))

    def analyse_pixels(
        self,
        images: Sequence[Pixels],
        *,
        smallest_face: int = 40,
        with_pad: bool | Sequence[bool] = False,
    ) -> list[FrameResult]:
        """Analyse a batch of upright images, each (H, W, 3) uint8 RGB; sizes may differ."""
        if not images:
            return []
        with torch.inference_mode():
            image_set = ImageSet(images, self.device)
            settings = DetectorSettings(smallest_face=smallest_face)
            detections = detect(self.detector, image_set, settings)
            measured = self._measure(image_set, detections, _each(with_pad, len(images)))
        faces = _faces(measured)
        return [
            FrameResult(image.shape[1], image.shape[0], tuple(faces.get(number, ())))
            for number, image in enumerate(images)
        ]

    def _measure(
        self, images: ImageSet, detections: Detections, with_pad: Sequence[bool]
    ) -> _Measured:
        frame, points = detections.frame, detections.points
        if len(frame) == 0:
            return _Measured(detections, [], detections.boxes.new_zeros((0, 0)), [])
        found = embed_faces(self.embedding, images, frame, points)
        # Only of MobileFaceNet is it known what a vector's length says.
        lengths = found.lengths if self._lengths_known else None
        qualities = measure(found.aligned, points, lengths)
        pads = self._pads(images, detections, with_pad)
        return _Measured(detections, qualities, found.vectors, pads)

    def _pads(
        self, images: ImageSet, detections: Detections, with_pad: Sequence[bool]
    ) -> list[float | None]:
        """Attack scores of the faces in the images that want them; None for the others."""
        pads: list[float | None] = [None] * len(detections.frame)
        rows = [row for row, image in enumerate(detections.frame.tolist()) if with_pad[image]]
        if rows:
            frame, boxes = detections.frame[rows], detections.boxes[rows]
            scores = (
                pair_scores(self.pair, images, frame, boxes)
                if self.pair
                else tree_scores(self.antispoofing, images, frame, boxes)
            )
            for row, score in zip(rows, scores.tolist(), strict=True):
                pads[row] = score
        return pads


def _each(wanted: bool | Sequence[bool], count: int) -> Sequence[bool]:
    return [wanted] * count if isinstance(wanted, bool) else wanted


def _load(
    models_dir: Path, device: torch.device, embedder: Embedder, detector: DetectorName | Path
) -> Networks:
    finder: nn.Module
    if isinstance(detector, Path):
        finder = load_cascade(detector)
    else:
        finder = RetinaFace() if detector == "retinaface" else Mtcnn()
        load_into(finder, models_dir, detector)
    antispoofing = AntiSpoofingTree()
    load_into(antispoofing, models_dir, "antispoofing")
    networks = Networks(finder, embedder.first, antispoofing, None, embedder.second)
    networks.adapter, networks.lengths_known = embedder.adapter, embedder.lengths_known
    if "minifasnet" in present_extras(models_dir):
        networks.pair = MiniFasNetPair()
        load_into(networks.pair, models_dir, "minifasnet")
    for net in filter(None, (finder, antispoofing, networks.pair)):
        net.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return networks


def _compiles(runtime: Runtime, device: torch.device) -> bool:
    possible = device.type == "cpu" and compiled.available()
    if runtime == "openvino" and not possible:
        raise ValueError("OpenVINO runs on the CPU only and must be installed")
    return runtime != "torch" and possible


def _compile(networks: Networks, *, bfloat16: bool) -> None:
    """Put OpenVINO in torch's place, where a network is run for every face or frame."""
    threads = torch.get_num_threads()
    match networks.detector:
        case RetinaFace() as net:
            networks.detector = compile_retinaface(net, threads, bfloat16=bfloat16)
        case Mtcnn() as cascade:
            networks.detector = compile_mtcnn(cascade, threads)
    if networks.pair is not None:
        networks.pair = compile_pair(networks.pair, threads)


def _faces(measured: _Measured) -> dict[int, list[Face]]:
    """Faces by frame, largest box first. A face without a finite embedding is left out."""
    detections = measured.detections
    boxes = detections.boxes.cpu().numpy()
    points = detections.points.cpu().numpy()
    embeddings = measured.embeddings.cpu().numpy()
    scores = detections.scores.tolist()
    faces: dict[int, list[Face]] = {}
    for row, frame in enumerate(detections.frame.tolist()):
        if not np.isfinite(embeddings[row]).all():
            continue  # degenerate points, e.g. all in one place: no face to recognise
        faces.setdefault(frame, []).append(
            Face(
                box=boxes[row],
                points=points[row],
                score=scores[row],
                quality=measured.qualities[row],
                pad=measured.pads[row],
                embedding=embeddings[row],
            )
        )
    for found in faces.values():
        found.sort(key=_area, reverse=True)
    return faces


def _area(face: Face) -> float:
    x1, y1, x2, y2 = face.box
    return float((x2 - x1) * (y2 - y1))


def _unreduced(result: FrameResult, image: DecodedImage) -> FrameResult:
    """The result in the coordinates of the image itself, where decoding reduced it."""
    if (result.width, result.height) == (image.width, image.height):
        return result
    scale = np.array(image.scale, dtype=np.float32)
    faces = tuple(
        Face(
            box=face.box * np.tile(scale, 2),
            points=(face.points + 0.5) * scale - 0.5,
            score=face.score,
            quality=face.quality,
            pad=face.pad,
            embedding=face.embedding,
        )
        for face in result.faces
    )
    return FrameResult(image.width, image.height, faces)
