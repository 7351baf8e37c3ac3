"""The fused embedder is both embedders at once: one unit vector, one inner product."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from recognition import fetch
from recognition.fusion import FUSED, RESNET29_SHARE, fuse
from recognition.pipeline import Pipeline
from recognition.types import Pixels
from recognition.weights import WeightsError


@pytest.fixture
def fused(pipeline: Pipeline) -> Pipeline:
    """It is the usual one."""
    return pipeline


@pytest.fixture(scope="module")
def plain(models_dir: Path) -> Pipeline:
    return Pipeline.load(models_dir, device="cpu", embedder="mobilefacenet")


def units(count: int, dimension: int, seed: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(count, dimension, generator=random), dim=1)


def embeddings(pipeline: Pipeline, images: list[Pixels]) -> np.ndarray:
    found = [result.faces[0].embedding for result in pipeline.analyse_pixels(images)]
    return np.array(found)


def test_an_inner_product_is_the_weighted_sum_of_both_cosines() -> None:
    first, second = units(6, 192, 0), units(6, 128, 1)
    together = fuse(first, second)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(6))
    expected = (1 - RESNET29_SHARE) * (first @ first.T) + RESNET29_SHARE * (second @ second.T)
    torch.testing.assert_close(together @ together.T, expected)


def test_no_faces_stay_no_faces() -> None:
    assert fuse(torch.zeros(0, 192), torch.zeros(0, 128)).shape == (0, FUSED.dimension)


def test_the_pipeline_gives_one_unit_vector_whose_first_part_is_mobilefacenets(
    fused: Pipeline, plain: Pipeline, portraits: dict[str, Pixels]
) -> None:
    images = list(portraits.values())
    together, alone = embeddings(fused, images), embeddings(plain, images)
    assert together.shape == (len(images), 320)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    first = together[:, :192] / np.sqrt(1 - RESNET29_SHARE)
    np.testing.assert_allclose(first, alone, atol=1e-5)


def test_the_same_person_is_close_and_another_is_not(
    fused: Pipeline, portraits: dict[str, Pixels]
) -> None:
    obama, other, biden = embeddings(
        fused, [portraits[name] for name in ("obama.jpg", "obama2.jpg", "biden.jpg")]
    )
    assert obama @ other > 0.8
    assert obama @ biden < 0.7


def test_a_face_alone_and_in_a_batch_has_the_same_embedding(
    fused: Pipeline, portraits: dict[str, Pixels]
) -> None:
    images = list(portraits.values())
    alone = np.concatenate([embeddings(fused, [image]) for image in images])
    np.testing.assert_allclose(embeddings(fused, images), alone, atol=1e-4)


def test_a_frame_without_a_face_has_none(fused: Pipeline) -> None:
    (result,) = fused.analyse_pixels([np.zeros((200, 200, 3), np.uint8)])
    assert result.faces == ()


def test_it_is_a_model_version_of_its_own(fused: Pipeline, plain: Pipeline) -> None:
    assert fused.model == FUSED
    assert FUSED.name == "mobilefacenet+resnet29"
    assert FUSED.version == "1.0.24+1.7.15.mirrored"
    assert FUSED.dimension == 320
    assert FUSED.licence == "MIT and CC0-1.0"
    assert len(FUSED.sha256) == 64
    assert plain.model.sha256 != FUSED.sha256


def test_without_its_weights_the_error_names_the_command_that_gets_them(
    tmp_path: Path, archives: tuple[Path, ...]
) -> None:
    given = fetch.AtHand(archives)
    models = fetch.fetch_models(tmp_path, say=lambda message: None, at_hand=given)
    (models / "resnet29.safetensors").unlink()
    with pytest.raises(WeightsError, match="Run `python -m recognition fetch-models`"):
        Pipeline.load(models, device="cpu", embedder="fused")
