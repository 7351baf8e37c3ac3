"""Odd and hostile images through the whole pipeline: an answer each, in bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recognition.pipeline import Pipeline
from recognition.types import FrameResult, Pixels
from tests.recognition.bombs import LARGE, bomb, saved

MOST_FOR_NOISE_MB = 1_000
"""Beyond the loaded networks, for a batch as large as a worker's largest."""


def noise(height: int, width: int, grain: int = 1) -> Pixels:
    """Random colours in soft spots of `grain` pixels; a detector's cascade likes about eight."""
    random = np.random.default_rng(height + width + grain)
    size = (max(1, height // grain), max(1, width // grain), 3)
    spots = Image.fromarray(random.integers(0, 256, size, dtype=np.uint8))
    return np.asarray(spots.resize((width, height), Image.Resampling.BICUBIC))


def sound(result: FrameResult) -> bool:
    """Whether everything told of the faces is a number."""
    return all(
        np.isfinite(face.box).all()
        and np.isfinite(face.points).all()
        and face.embedding is not None
        and np.isfinite(face.embedding).all()
        and 0 <= face.score <= 1
        for face in result.faces
    )


@pytest.mark.parametrize(
    "size",
    [(1, 1), (1, 4000), (4000, 1), (2, 2), (11, 11), (12, 12), (13, 4000), (4000, 40), (39, 41)],
    ids=str,
)
@pytest.mark.parametrize("smallest_face", [12, 40])
def test_images_of_any_shape_have_an_answer(
    pipeline: Pipeline, size: tuple[int, int], smallest_face: int
) -> None:
    pictures = [noise(*size), np.zeros((*size, 3), np.uint8), np.full((*size, 3), 255, np.uint8)]
    results = pipeline.analyse_pixels(pictures, smallest_face=smallest_face, with_pad=True)
    assert [(result.height, result.width) for result in results] == [size] * 3
    assert all(sound(result) for result in results)


@pytest.mark.parametrize("grain", [1, 2, 4, 8, 16, 40])
def test_noise_has_few_faces_and_only_whole_ones(pipeline: Pipeline, grain: int) -> None:
    (result,) = pipeline.analyse_pixels([noise(480, 640, grain)], with_pad=True)
    assert sound(result)
    assert len(result.faces) < 20


@pytest.mark.parametrize("name", [name for name in LARGE if " with " not in name])
def test_large_files_have_an_answer(pipeline: Pipeline, name: str) -> None:
    small = saved(Image.new("RGB", (64, 48)), "PNG")
    result, blank = pipeline.analyse([bomb(name), small], smallest_face=200)
    assert result.error is None
    assert sound(result)
    assert (blank.width, blank.height, blank.error) == (64, 48, None)


MEASURE = """
import json, sys
from pathlib import Path
from recognition.isolation import MOST_PIXELS
from recognition.pipeline import Pipeline
from tests.fuzz import limits
from tests.recognition.test_pipeline_hostile import noise

pipeline = Pipeline.load(Path(sys.argv[1]), device="cpu", threads=1)
pipeline.analyse_pixels([noise(480, 640)])
before = limits.peak_megabytes()
height, width, grain = map(int, sys.argv[2:])
pipeline.analyse_pixels([noise(height, width, grain)] * (MOST_PIXELS // (height * width)))
print(json.dumps(limits.peak_megabytes() - before))
"""


@pytest.mark.parametrize(
    ("size", "grain"), [((480, 640), 1), ((480, 640), 8), ((2000, 2000), 8)], ids=str
)
def test_a_full_batch_of_noise_does_not_swell(
    models_dir: Path, size: tuple[int, int], grain: int
) -> None:
    command = [sys.executable, "-c", MEASURE, str(models_dir), *map(str, (*size, grain))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) <= MOST_FOR_NOISE_MB
