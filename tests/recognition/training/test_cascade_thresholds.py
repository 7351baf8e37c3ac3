"""Thresholds go with the weights they were chosen for, and are read back with them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recognition.mtcnn import THRESHOLDS, Mtcnn, load_cascade
from recognition.pipeline import Pipeline
from recognition.training.cascade.annotating import annotate
from recognition.training.cascade.annotations import AnnotatedFace, AnnotatedImage
from recognition.training.cascade.thresholds import GRID, choose_thresholds
from recognition.weights import WeightsError, load_into, save_trained

SMALLEST = 60


@pytest.fixture(scope="module")
def images(pipeline: Pipeline, face_files: dict[str, Path]) -> list[AnnotatedImage]:
    paths = [face_files[name] for name in ("astronaut.png", "obama.jpg", "biden.jpg")]
    return annotate(pipeline.detector, paths, device=torch.device("cpu"))


@pytest.fixture
def shipped(models_dir: Path) -> Mtcnn:
    net = Mtcnn()
    load_into(net, models_dir, "mtcnn")
    return net


def less_certain(net: Mtcnn, stage: str, by: float) -> Mtcnn:
    """Its network of that stage tells faces as before, with log odds that are so much less."""
    with torch.inference_mode():
        net.get_submodule(stage).get_submodule("face").get_parameter("bias")[1] -= by
    return net


def test_certain_networks_get_the_highest_thresholds_and_the_last_keeps_its_own(
    shipped: Mtcnn, images: list[AnnotatedImage]
) -> None:
    assert choose_thresholds(shipped, images, SMALLEST) == (GRID[-1], GRID[-1], THRESHOLDS[2])


@pytest.mark.parametrize(("stage", "place"), [("pnet", 0), ("rnet", 1)])
def test_a_network_that_is_less_certain_gets_a_lower_threshold(
    shipped: Mtcnn, images: list[AnnotatedImage], stage: str, place: int
) -> None:
    chosen = choose_thresholds(less_certain(shipped, stage, 8), images, SMALLEST)
    assert chosen[place] < GRID[-1]
    assert chosen[1 - place] == GRID[-1]


def test_each_trial_is_told(shipped: Mtcnn, images: list[AnnotatedImage]) -> None:
    told: list[str] = []
    choose_thresholds(shipped, images[:1], SMALLEST, told.append)
    assert len(told) == 2 * len(GRID)
    assert told[0] == "thresholds 0.1 and 0.1: recall 100.00 %"
    assert told[-1] == "thresholds 0.7 and 0.7: recall 100.00 %"


@pytest.mark.parametrize("what", ["nobody", "ignored", "incomplete"])
def test_images_that_tell_nothing_leave_the_thresholds(
    shipped: Mtcnn, images: list[AnnotatedImage], what: str
) -> None:
    face = AnnotatedFace((1, 1, 90, 90), ignored=what == "ignored")
    faces = () if what == "nobody" else (face,)
    image = AnnotatedImage(images[0].path, faces, complete=what != "incomplete")
    assert choose_thresholds(shipped, [image], SMALLEST) == THRESHOLDS


def test_thresholds_are_loaded_with_their_weights(
    shipped: Mtcnn, models_dir: Path, tmp_path: Path
) -> None:
    path = tmp_path / "mtcnn.safetensors"
    save_trained(path, shipped, {"thresholds": (0.2, 0.3, 0.9)})
    assert load_cascade(path).thresholds == (0.2, 0.3, 0.9)
    for runtime in ("torch", "auto"):
        loaded = Pipeline.load(models_dir, device="cpu", detector=path, runtime=runtime)
        assert isinstance(loaded.detector, Mtcnn)
        assert loaded.detector.thresholds == (0.2, 0.3, 0.9)


def test_weights_from_before_thresholds_were_chosen_have_the_usual_ones(
    shipped: Mtcnn, tmp_path: Path
) -> None:
    save_trained(tmp_path / "w.safetensors", shipped, {"seed": 0})
    assert load_cascade(tmp_path / "w.safetensors").thresholds == THRESHOLDS


@pytest.mark.parametrize(
    "thresholds",
    [
        None,
        "0.5",
        [0.5, 0.5],
        [0.5, 0.5, "0.5"],
        [0.5, 0.5, 1.5],
        [0.0, 0.5, 0.5],
        [0.5, float("nan"), 0.5],
        {"pnet": 0.5},
    ],
)
def test_thresholds_that_are_none_are_refused(
    shipped: Mtcnn, tmp_path: Path, thresholds: object
) -> None:
    save_trained(tmp_path / "w.safetensors", shipped, {"thresholds": thresholds})
    with pytest.raises(WeightsError, match=r"thresholds in .*w\.safetensors are none"):
        load_cascade(tmp_path / "w.safetensors")
