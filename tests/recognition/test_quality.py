"""Quality answers to what spoils a face: distance, blur, light, contrast, a turned head."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from recognition.align import TEMPLATE
from recognition.quality import measure
from recognition.types import Quality

POINTS = torch.tensor(TEMPLATE)


def face(seed: int = 0) -> torch.Tensor:
    """(3, 112, 112): some texture of all scales around a middle grey."""
    random = torch.Generator().manual_seed(seed)
    noise = torch.zeros(1, 1, 112, 112)
    for size in (7, 14, 28, 56, 112):
        layer = torch.randn(1, 1, size, size, generator=random)
        noise += functional.interpolate(layer, (112, 112), mode="bilinear")
    return (noise[0] * 25 + 128).clamp(5, 250).expand(3, -1, -1).contiguous()


def of(pixels: torch.Tensor, points: torch.Tensor = POINTS) -> Quality:
    return measure(pixels[None], points[None])[0]


def test_a_good_face_scores_one() -> None:
    assert of(face()).score == 1


def test_the_eye_distance_is_in_pixels_of_the_image() -> None:
    assert of(face(), POINTS * 2).eye_distance == pytest.approx(70.48, abs=0.01)


def test_distance_lowers_the_score() -> None:
    scores = [of(face(), POINTS * scale).score for scale in (1, 0.6, 0.4, 0.2)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == 1
    assert scores[-1] == 0


def test_blur_lowers_sharpness_and_score() -> None:
    blurred = functional.avg_pool2d(face()[None], 15, 1, 7, count_include_pad=False)[0]
    assert of(blurred).sharpness < of(face()).sharpness / 20
    assert of(blurred).score < 1


@pytest.mark.parametrize("light", [0.02, 0.1])
def test_darkness_lowers_the_score(light: float) -> None:
    assert of(face() * light).brightness < of(face()).brightness
    assert of(face() * light).score < 1


def test_a_flat_face_has_no_contrast_and_no_score() -> None:
    flat = of(torch.full((3, 112, 112), 128.0))
    assert flat.contrast == 0
    assert flat.score == 0


def test_over_exposure_is_counted_as_clipped() -> None:
    glaring = of((face() * 4).clamp(0, 255))
    assert glaring.clipped > 0.5
    assert glaring.score < 1


@pytest.mark.parametrize("degrees", [-45, -20, 0, 20, 45])
def test_yaw_follows_a_turned_head(degrees: int) -> None:
    """A head of flat eyes and mouth and a nose that stands out by 0.6 eye distances, turned."""
    turn = math.radians(degrees)
    eyes, mouth = 1.0, 0.8
    flat = torch.tensor(
        [[-eyes / 2, 0], [eyes / 2, 0], [0, 0.55], [-mouth / 2, 1.1], [mouth / 2, 1.1]]
    )
    turned = flat * torch.tensor([math.cos(turn), 1.0])
    turned[2, 0] += 0.6 * math.sin(turn)
    assert of(face(), turned * 40 + 100).yaw == pytest.approx(degrees, abs=1)


def test_yaw_does_not_answer_to_a_tilted_head() -> None:
    turn = math.radians(25)
    matrix = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    assert of(face(), POINTS @ matrix.T).yaw == pytest.approx(of(face()).yaw, abs=0.1)


def test_a_turned_head_lowers_the_score() -> None:
    sideways = POINTS.clone()
    sideways[2, 0] += 35
    assert of(face(), sideways).score < 0.7


def test_every_value_is_finite_even_for_senseless_points() -> None:
    quality = of(face(), torch.zeros(5, 2))
    assert all(math.isfinite(value) for value in quality.to_dict().values())
    assert quality.score == 0


def test_values_go_to_json_by_name() -> None:
    assert set(of(face()).to_dict()) == {
        "eye_distance",
        "sharpness",
        "brightness",
        "contrast",
        "clipped",
        "yaw",
        "score",
    }


def test_no_faces_give_no_qualities() -> None:
    assert measure(torch.zeros(0, 3, 112, 112), torch.zeros(0, 5, 2)) == []
