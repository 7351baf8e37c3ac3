"""Each network gives what the published TFLite file gives."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch
from torch import nn

from recognition.align import align
from recognition.embed import MobileFaceNet, normalise
from recognition.mtcnn import Mtcnn
from recognition.pad import AntiSpoofingTree
from recognition.pipeline import Pipeline
from recognition.sampling import ImageSet
from recognition.types import Pixels
from recognition.weights import load_into
from tests.recognition.tflite_runner import Array, TFLiteModel

Net = TypeVar("Net", bound=nn.Module)


def loaded(net: Net, models_dir: Path, name: str) -> Net:
    load_into(net, models_dir, name)
    return net


def channels_first(values: Array) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values.transpose(0, 3, 1, 2)))


def transposed(values: Array) -> Array:
    """What the published detection networks expect: x and y swapped."""
    return np.ascontiguousarray(values.transpose(0, 2, 1, 3))


@pytest.fixture(scope="module")
def detector(models_dir: Path) -> Mtcnn:
    return loaded(Mtcnn(), models_dir, "mtcnn")


@pytest.fixture(scope="module")
def aligned_faces(pipeline: Pipeline, portraits: dict[str, Pixels]) -> Array:
    """(N, 112, 112, 3), normalised, of all portraits."""
    images = list(portraits.values())
    results = pipeline.analyse_pixels(images)
    points = torch.from_numpy(np.stack([result.faces[0].points for result in results]))
    frame = torch.arange(len(images))
    faces = align(ImageSet(images, torch.device("cpu")), frame, points)
    return normalise(faces).permute(0, 2, 3, 1).contiguous().numpy()


@pytest.mark.parametrize("size", [(60, 90), (61, 83), (12, 12)])
def test_the_proposal_net_gives_the_originals_maps(
    detector: Mtcnn, original_files: dict[str, bytes], size: tuple[int, int]
) -> None:
    image = np.random.default_rng(1).uniform(-1, 1, (1, *size, 3)).astype(np.float32)
    probability, regression = TFLiteModel(original_files["pnet.tflite"])(transposed(image))
    with torch.inference_mode():
        ours, moves = detector.pnet(channels_first(image))
    np.testing.assert_allclose(ours[0], probability[0, :, :, 1].T, atol=1e-5)
    np.testing.assert_allclose(moves[0], regression[0].transpose(2, 1, 0), atol=1e-5)


def test_the_refine_net_gives_the_originals_outputs(
    detector: Mtcnn, original_files: dict[str, bytes], aligned_faces: Array
) -> None:
    original = TFLiteModel(original_files["rnet.tflite"])
    for window in aligned_faces[:, 8:104:4, 8:104:4]:
        probability, regression = original(transposed(window[None]))
        with torch.inference_mode():
            ours, moves = detector.rnet(channels_first(window[None]))
        np.testing.assert_allclose(ours[0], probability[0, 1], atol=1e-5)
        np.testing.assert_allclose(moves[0], regression[0], atol=1e-5)


def test_the_output_net_gives_the_originals_outputs(
    detector: Mtcnn, original_files: dict[str, bytes], aligned_faces: Array
) -> None:
    original = TFLiteModel(original_files["onet.tflite"])
    for window in aligned_faces[:, 8:104:2, 8:104:2]:
        outputs = original(transposed(window[None]))
        with torch.inference_mode():
            probability, regression, points = detector.onet(channels_first(window[None]))
        np.testing.assert_allclose(probability[0], outputs[0][0, 1], atol=1e-5)
        np.testing.assert_allclose(regression[0], outputs[1][0], atol=1e-5)
        np.testing.assert_allclose(points[0], outputs[2][0], atol=1e-4)


def test_embeddings_of_real_faces_have_cosine_above_0_9999_with_the_originals(
    models_dir: Path, original_files: dict[str, bytes], aligned_faces: Array
) -> None:
    net = loaded(MobileFaceNet(), models_dir, "mobilefacenet")
    original = TFLiteModel(original_files["MobileFaceNet.tflite"])
    for face in aligned_faces:
        both = np.stack([face, face[:, ::-1]])
        (expected,) = original(both)
        with torch.inference_mode():
            ours = net(channels_first(both)).numpy()
        cosine = (ours * expected).sum(1) / (
            np.linalg.norm(ours, axis=1) * np.linalg.norm(expected, axis=1)
        )
        assert (cosine >= 0.9999).all()


def test_the_pipelines_embedding_is_the_originals_mean_of_face_and_mirror_image(
    pipeline: Pipeline,
    original_files: dict[str, bytes],
    portraits: dict[str, Pixels],
    aligned_faces: Array,
) -> None:
    original = TFLiteModel(original_files["MobileFaceNet.tflite"])
    for image, face in zip(portraits.values(), aligned_faces, strict=True):
        embedding = pipeline.analyse_pixels([image])[0].faces[0].embedding
        (pair,) = original(np.stack([face, face[:, ::-1]]))
        mean = pair.sum(0)
        assert embedding is not None
        first = embedding[: len(mean)]  # of the two embedders
        cosine = float(first @ mean) / float(np.linalg.norm(mean) * np.linalg.norm(first))
        assert cosine >= 0.9999


def test_attack_scores_are_the_originals_at_every_leaf_that_is_reached(
    models_dir: Path, original_files: dict[str, bytes], portraits: dict[str, Pixels]
) -> None:
    net = loaded(AntiSpoofingTree(), models_dir, "antispoofing")
    original = TFLiteModel(original_files["FaceAntiSpoofing.tflite"])
    random = np.random.default_rng(3)
    crops = [random.random((256, 256, 3)), np.zeros((256, 256, 3)), np.ones((256, 256, 3))]
    for image in portraits.values():
        crops += [image[top : top + 256, 100:356] / 255.0 for top in (0, 100, 200)]
    batch = np.stack(crops).astype(np.float32)
    with torch.inference_mode():
        ours = net(channels_first(batch)).numpy()
    leaves = set()
    for crop, score in zip(batch, ours, strict=True):
        leaf_scores, mask = original(crop[None])
        leaves.add(int(mask[0].argmax()))
        assert score == pytest.approx(float((np.abs(leaf_scores) * mask).sum()), abs=1e-4)
    assert len(leaves) >= 3
