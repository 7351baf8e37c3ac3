"""Quality answers to what spoils a face, and names the one thing that spoils it most."""

from __future__ import annotations

import json
import math
from dataclasses import fields

import pytest
import torch
from torch.nn import functional

from recognition.align import TEMPLATE
from recognition.quality import SUFFICIENT, measure
from recognition.types import Quality, Shortfall
from tests.recognition.test_head_pose import turned

POINTS = turned(size=40)
MEDIAN = 140.0


def face(seed: int = 0) -> torch.Tensor:
    """(3, 112, 112): some texture of all scales around a middle grey."""
    random = torch.Generator().manual_seed(seed)
    noise = torch.zeros(1, 1, 112, 112)
    for size in (7, 14, 28, 56, 112):
        layer = torch.randn(1, 1, size, size, generator=random)
        noise += functional.interpolate(layer, (112, 112), mode="bilinear")
    return (noise[0] * 25 + 128).clamp(5, 250).expand(3, -1, -1).contiguous()


def of(pixels: torch.Tensor, points: torch.Tensor = POINTS, length: float | None = None) -> Quality:
    lengths = None if length is None else torch.tensor([length])
    return measure(pixels[None], points[None], lengths)[0]


def blurred(side: int = 15) -> torch.Tensor:
    return functional.avg_pool2d(face()[None], side, 1, side // 2, count_include_pad=False)[0]


def covered(rows: slice, columns: slice) -> torch.Tensor:
    """A face behind something smooth."""
    pixels = face()
    pixels[:, rows, columns] = 120
    return pixels


BOTH = pytest.mark.parametrize("length", [None, MEDIAN], ids=["points and pixels", "embedder too"])


@BOTH
def test_a_good_face_is_sufficient_and_lacks_nothing(length: float | None) -> None:
    good = of(face(), length=length)
    assert SUFFICIENT < good.score < 1
    assert good.shortfall is None
    assert min(good.components.values()) > 0.9


def test_the_eye_distance_is_in_pixels_of_the_image() -> None:
    assert of(face(), torch.tensor(TEMPLATE) * 2).eye_distance == pytest.approx(70.48, abs=0.01)


@BOTH
def test_distance_lowers_the_score(length: float | None) -> None:
    far = [of(face(), turned(size=size), length) for size in (40, 12, 6, 3)]
    scores = [quality.score for quality in far]
    assert scores == sorted(set(scores), reverse=True)
    assert of(face(), turned(size=3)).shortfall is Shortfall.TOO_FAR


@BOTH
def test_blur_lowers_the_score(length: float | None) -> None:
    good, soft = of(face(), length=length), of(blurred(), length=length)
    assert soft.sharpness < good.sharpness / 3
    assert soft.score < good.score
    assert of(blurred()).shortfall is Shortfall.BLURRED


def test_sharpness_does_not_answer_to_the_light() -> None:
    assert of(face() * 0.4).sharpness == pytest.approx(of(face()).sharpness, rel=0.1)


@BOTH
@pytest.mark.parametrize("light", [0.01, 0.05])
def test_darkness_lowers_the_score(light: float, length: float | None) -> None:
    dark = of(face() * light, length=length)
    assert dark.brightness < of(face()).brightness
    assert dark.score < of(face(), length=length).score
    assert of(face() * light).shortfall is Shortfall.TOO_DARK


@BOTH
def test_a_washed_out_face_lacks_contrast(length: float | None) -> None:
    pale = of(face() * 0.04 + 130, length=length)
    assert pale.score < of(face(), length=length).score
    assert of(face() * 0.04 + 130).shortfall is Shortfall.LOW_CONTRAST


def test_a_flat_face_has_no_contrast_and_hardly_a_score() -> None:
    flat = of(torch.full((3, 112, 112), 128.0))
    assert flat.contrast == 0
    assert flat.score < 0.05


def test_over_exposure_is_counted_as_clipped() -> None:
    glaring = of((face() * 2 + 40).clamp(0, 255))
    assert glaring.clipped > 0.5
    assert glaring.score < of(face()).score
    assert glaring.shortfall is Shortfall.TOO_BRIGHT


@pytest.mark.parametrize("yaw", [-75, 60, 90])
def test_a_turned_head_lowers_the_score(yaw: float) -> None:
    sideways = of(face(), turned(yaw))
    assert sideways.yaw == pytest.approx(yaw, abs=0.1)
    assert sideways.score < SUFFICIENT < of(face()).score
    assert sideways.shortfall is Shortfall.TURNED


@pytest.mark.parametrize("pitch", [-50, 50])
def test_a_head_that_looks_up_or_down_is_turned_too(pitch: float) -> None:
    raised = of(face(), turned(0, pitch))
    assert raised.pitch == pytest.approx(pitch, abs=0.1)
    assert raised.shortfall is Shortfall.TURNED


def test_a_tilted_head_loses_nothing_as_alignment_puts_it_upright() -> None:
    tilted, upright = of(face(), turned(roll=40)), of(face())
    assert tilted.roll == pytest.approx(40, abs=0.1)
    assert tilted.score == pytest.approx(upright.score, abs=1e-4)


@BOTH
@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        (slice(64, 112), slice(0, 112)),
        (slice(38, 64), slice(10, 102)),
        (slice(20, 112), slice(0, 52)),
    ],
    ids=["mask", "dark glasses", "hand on one side"],
)
def test_something_smooth_before_the_face_lowers_the_score(
    rows: slice, columns: slice, length: float | None
) -> None:
    hidden = of(covered(rows, columns), length=length)
    assert hidden.evenness < 0 < of(face()).evenness
    assert hidden.score < of(face(), length=length).score
    components = hidden.components
    assert min(components, key=lambda name: components[name]) is Shortfall.COVERED


def test_what_the_embedder_makes_little_of_scores_low_though_nothing_says_why() -> None:
    unclear = of(face(), length=MEDIAN / 2)
    assert unclear.certainty == 0.5
    assert unclear.score < of(face(), length=MEDIAN).score / 2
    assert unclear.shortfall is Shortfall.UNCLEAR


def test_the_longer_the_embedders_vector_the_higher_the_score() -> None:
    scores = [of(face(), length=length).score for length in (20, 60, 100, 140, 180)]
    assert scores == sorted(set(scores))


def test_every_component_names_a_shortfall() -> None:
    assert set(of(face()).components) == set(Shortfall) - {Shortfall.UNCLEAR}


@pytest.mark.parametrize("bad", [0.0, math.nan, math.inf])
@BOTH
def test_senseless_points_score_nothing(bad: float, length: float | None) -> None:
    quality = of(face(), torch.full((5, 2), bad), length)
    assert quality.score == 0
    assert quality.shortfall is not None
    json.dumps(quality.to_dict(), allow_nan=False)


@pytest.mark.parametrize("length", [0.0, -1.0, math.nan, math.inf])
def test_a_senseless_length_scores_nothing(length: float) -> None:
    quality = of(face(), length=length)
    assert quality.score == 0
    json.dumps(quality.to_dict(), allow_nan=False)


def test_senseless_pixels_score_nothing() -> None:
    quality = of(torch.full((3, 112, 112), math.nan), length=MEDIAN)
    assert quality.score == 0
    json.dumps(quality.to_dict(), allow_nan=False)


def test_a_face_alone_and_among_others_is_the_same() -> None:
    views = [face(0), blurred(), face(1) * 0.1, covered(slice(60, 112), slice(0, 112))]
    points = [POINTS, turned(60), turned(size=9), torch.full((5, 2), math.nan)]
    lengths = torch.tensor([150.0, 90.0, 60.0, 120.0])
    together = measure(torch.stack(views), torch.stack(points), lengths)
    for number, quality in enumerate(together):
        alone = of(views[number], points[number], float(lengths[number]))
        assert quality.shortfall is alone.shortfall
        assert quality.score == pytest.approx(alone.score, abs=1e-5)
        assert quality.components == pytest.approx(alone.components, abs=1e-5)


def test_values_go_to_json_by_name() -> None:
    values = json.loads(json.dumps(of(blurred(25), length=60.0).to_dict(), allow_nan=False))
    assert set(values) == {field.name for field in fields(Quality)}
    assert values["shortfall"] == "BLURRED"
    assert 0 <= values["components"]["BLURRED"] < 1


def test_no_faces_give_no_qualities() -> None:
    assert measure(torch.zeros(0, 3, 112, 112), torch.zeros(0, 5, 2), torch.zeros(0)) == []
