"""Samples are cut as the cascade cuts, and batches of them are a pure function of the step."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from recognition.cascade import cut
from recognition.evaluate.datasets import DatasetError
from recognition.sampling import ImageSet
from recognition.training.cascade.annotations import AnnotatedFace, AnnotatedImage, load
from recognition.training.cascade.sample_batches import SHARES, SampleBatches, mirrored
from recognition.training.cascade.samples import Samples, cut_samples
from recognition.training.cascade.windows import Kind, Plan, box_targets, point_targets
from tests.recognition.training.drawn_faces import drawn_images

PLAN = Plan(negatives=6, beside=2, positives=3, parts=3, landmarks=3)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[AnnotatedImage]:
    return drawn_images(tmp_path_factory.mktemp("drawn"), 6)


@pytest.fixture(scope="module")
def samples(images: list[AnnotatedImage]) -> Samples:
    return cut_samples(images, 24, PLAN, seed=1)


def test_there_are_samples_of_every_kind_with_targets_of_those_that_have_any(
    samples: Samples,
) -> None:
    faces = 9  # one and two in turn
    assert samples.counts() == {
        "negative": 6 * 6 + faces * 2,
        "positive": faces * 3,
        "part": faces * 3,
        "landmark": faces * 3,
    }
    assert samples.views.shape[1:] == (3, 24, 24)
    moved = (samples.kinds == Kind.POSITIVE) | (samples.kinds == Kind.PART)
    assert not samples.boxes[~moved].any()
    assert not samples.places[samples.kinds != Kind.LANDMARK].any()
    inside = samples.places[samples.kinds == Kind.LANDMARK]
    assert inside.min() > -0.2
    assert inside.max() < 1.2


def test_a_window_that_is_the_whole_picture_is_cut_pixel_by_pixel(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    _save(tmp_path / "a.png", pixels)
    _save(tmp_path / "b.png", np.zeros((60, 60, 3), np.uint8))
    images = [
        AnnotatedImage(tmp_path / "a.png", (AnnotatedFace((0, 0, 24, 24)),)),
        AnnotatedImage(tmp_path / "b.png", ()),
    ]

    def whole(seen: ImageSet) -> tuple[Tensor, Tensor]:
        return torch.tensor([0, 1]), torch.tensor([[0.0, 0, 24, 24], [5, 5, 40, 40]])

    plan = Plan(negatives=1, beside=0, positives=1, parts=0, landmarks=0)
    samples = cut_samples(images, 24, plan, seed=0, proposer=whole)
    (row,) = (samples.kinds == Kind.POSITIVE).nonzero()[:, 0].tolist()
    np.testing.assert_array_equal(samples.views[row].permute(1, 2, 0).numpy(), pixels)
    assert not samples.boxes[row].any()


def test_the_same_seed_cuts_the_same_samples(
    images: list[AnnotatedImage], samples: Samples
) -> None:
    assert cut_samples(images, 24, PLAN, seed=1).fingerprint == samples.fingerprint
    assert cut_samples(images, 24, PLAN, seed=2).fingerprint != samples.fingerprint


def test_images_of_several_sizes_are_cut_as_each_alone(images: list[AnnotatedImage]) -> None:
    few = Plan(negatives=2, beside=0, positives=1, parts=1, landmarks=1)
    together = cut_samples(images, 24, few, seed=3)
    alone = cut_samples(images[:1], 24, few, seed=3)
    count = len(alone.kinds)
    assert torch.equal(together.views[:count], alone.views)


def test_images_without_a_face_or_without_background_are_refused(
    images: list[AnnotatedImage],
) -> None:
    bare = [AnnotatedImage(images[0].path, ())]
    with pytest.raises(DatasetError, match="no positive windows"):
        cut_samples(bare, 24, PLAN, seed=0)
    partly = [AnnotatedImage(image.path, image.faces, complete=False) for image in images]
    with pytest.raises(DatasetError, match="no negative windows"):
        cut_samples(partly, 24, PLAN, seed=0)


def test_a_batch_has_the_papers_shares_of_each_kind(samples: Samples) -> None:
    _, kinds, _, _ = SampleBatches(samples, 70, seed=0).at(0)
    for kind, share in SHARES.items():
        assert int((kinds == kind).sum()) == 10 * share


def test_kinds_that_are_missing_leave_their_share_to_the_others(samples: Samples) -> None:
    marked = samples.kinds == Kind.LANDMARK
    rest = Samples(*(tensor[~marked] for tensor in samples.tensors().values()))
    _, kinds, _, _ = SampleBatches(rest, 50, seed=0).at(0)
    assert [int((kinds == kind).sum()) for kind in Kind if kind >= 0] == [30, 10, 10, 0]


def test_a_batch_depends_on_seed_step_and_rank_alone(samples: Samples) -> None:
    batches = SampleBatches(samples, 14, seed=4)
    late = batches.at(7)
    batches.at(3)
    for tensor, again in zip(SampleBatches(samples, 14, seed=4).at(7), late, strict=True):
        assert torch.equal(tensor, again)
    for other in (batches.at(8), batches.at(7, 1, 2), SampleBatches(samples, 14, seed=5).at(7)):
        assert not torch.equal(other[0], late[0])


def test_the_fingerprint_tells_other_batches(samples: Samples) -> None:
    own = SampleBatches(samples, 14, seed=4).fingerprint
    assert SampleBatches(samples, 14, seed=4).fingerprint == own
    assert SampleBatches(samples, 15, seed=4).fingerprint != own
    assert SampleBatches(samples, 14, seed=5).fingerprint != own
    changed = samples.tensors() | {"views": samples.views ^ 1}
    assert SampleBatches(Samples(**changed), 14, seed=4).fingerprint != own


def test_a_mirrored_sample_is_that_of_the_mirrored_photograph(
    images: list[AnnotatedImage],
) -> None:
    pixels, truth = load(images[0])
    width = pixels.shape[1]
    window = np.array([[20.25, 10.5, 84.75, 75.0]])
    other = np.array([[width - 84.75, 10.5, width - 20.25, 75.0]])
    box = truth.boxes[:1]
    flipped = np.array([[width - box[0, 2], box[0, 1], width - box[0, 0], box[0, 3]]])
    points = truth.points[:1]
    turned = np.stack([width - 1 - points[..., 0], points[..., 1]], 2)[:, [1, 0, 2, 4, 3]]
    sample = _sample(pixels, window, box_targets(window, box), point_targets(window, points))
    expected = _sample(
        np.ascontiguousarray(pixels[:, ::-1]),
        other,
        box_targets(other, flipped),
        point_targets(other, turned),
    )
    found = mirrored(sample, torch.tensor([True]))
    assert (found.views.int() - expected.views.int()).abs().max() <= 1
    torch.testing.assert_close(found.boxes, expected.boxes)
    torch.testing.assert_close(found.places, expected.places)
    same = mirrored(sample, torch.tensor([False]))
    assert torch.equal(same.views, sample.views)
    assert torch.equal(same.places, sample.places)


def test_mirroring_leaves_targets_of_nobody_at_zero(samples: Samples) -> None:
    turned = mirrored(samples, torch.ones(len(samples.kinds), dtype=torch.bool))
    assert not turned.places[samples.kinds != Kind.LANDMARK].any()
    assert not turned.boxes[samples.kinds == Kind.NEGATIVE].any()


def _sample(pixels: np.ndarray, window: np.ndarray, move: np.ndarray, place: np.ndarray) -> Samples:
    boxes = torch.from_numpy(window).float()
    images = ImageSet([pixels], torch.device("cpu"))
    return Samples(
        cut(images, torch.tensor([0]), boxes, 24).round().byte(),
        torch.tensor([Kind.LANDMARK]),
        torch.from_numpy(move).float(),
        torch.from_numpy(place).float(),
        boxes[:, 2] - boxes[:, 0],
    )


def _save(path: Path, pixels: np.ndarray) -> None:
    cv2.imwrite(str(path), pixels[:, :, ::-1])
