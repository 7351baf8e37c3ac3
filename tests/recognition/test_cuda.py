"""On a GPU the same faces come out as on the CPU; runs where there is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from recognition.pipeline import Pipeline
from recognition.precision import Precision
from recognition.types import Face, Pixels

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def face(pipeline: Pipeline, image: Pixels) -> Face:
    (result,) = pipeline.analyse_pixels([image], with_pad=True)
    (found,) = result.faces
    return found


def likeness(one: Face, other: Face) -> float:
    assert one.embedding is not None
    assert other.embedding is not None
    return float(one.embedding @ other.embedding)


@pytest.mark.parametrize(("precision", "least"), [("float32", 0.9999), ("reduced", 0.999)])
def test_its_vectors_match_the_cpus(
    models_dir: Path, portraits: dict[str, Pixels], precision: Precision, least: float
) -> None:
    exact = Pipeline.load(models_dir, device="cpu", threads=1, precision="float32")
    gpu = Pipeline.load(models_dir, device="cuda", precision=precision)
    gpu.warm_up()
    for portrait in portraits.values():
        here, there = face(exact, portrait), face(gpu, portrait)
        assert likeness(here, there) >= least
        width = here.box[2] - here.box[0]
        np.testing.assert_allclose(here.points, there.points, atol=0.02 * width)
        assert here.pad is not None
        assert there.pad == pytest.approx(here.pad, abs=0.02)


def test_a_faces_vector_does_not_depend_on_its_batch(
    models_dir: Path, portraits: dict[str, Pixels]
) -> None:
    gpu = Pipeline.load(models_dir, device="cuda", precision="float32")
    images = list(portraits.values())
    together = gpu.analyse_pixels((images * 64)[:64])
    for index, result in enumerate(together):
        alone = face(gpu, images[index % len(images)])
        (found,) = result.faces
        assert found.embedding is not None
        assert alone.embedding is not None
        assert np.abs(found.embedding - alone.embedding).max() <= 1e-4
