"""Batches of faces are a pure function of seed, step and process."""

from __future__ import annotations

import torch

from recognition.training.face_batches import FaceBatches, Showing
from tests.recognition.training.drawn import drawn_faces

FACES = drawn_faces(9, 3)


def batches(**changed: object) -> FaceBatches:
    return FaceBatches(FACES, Showing(**{"people": 4, "images": 2, **changed}))  # type: ignore[arg-type]


def test_a_batch_has_some_faces_of_some_people_and_says_whose() -> None:
    faces, labels = batches(look="plain").at(3)
    assert faces.shape == (8, 3, 112, 112)
    assert faces.dtype == torch.uint8
    assert torch.unique(labels, return_counts=True)[1].tolist() == [2] * 4
    for face, label in zip(faces, labels, strict=True):
        own = FACES.pixels[FACES.whose == label]
        assert any(torch.equal(face, one) for one in own)


def test_a_batch_is_the_same_whenever_it_is_asked_for() -> None:
    source = batches()
    in_order = [source.at(step) for step in range(6)]
    for step in (5, 0, 3):
        for one, other in zip(batches().at(step), in_order[step], strict=True):
            assert torch.equal(one, other)


def test_another_seed_shows_others() -> None:
    assert not torch.equal(batches(seed=1).at(0)[0], batches(seed=2).at(0)[0])


def test_the_same_face_looks_another_way_the_next_time() -> None:
    source = FaceBatches(FACES, Showing(people=9, images=3))
    first, second = ({label: [] for label in range(9)} for _ in range(2))  # type: ignore[var-annotated]
    for step, seen in ((0, first), (1, second)):
        for face, label in zip(*source.at(step), strict=True):
            seen[int(label)].append(face.numpy().tobytes())
    same = [face for label in range(9) for face in first[label] if face in second[label]]
    assert len(same) < 27 / 2


def test_two_processes_together_are_shown_what_one_would_be() -> None:
    alone, shared = batches(), batches()
    parts = [shared.at(step, rank, 2) for step in range(3) for rank in range(2)]
    for number, part in enumerate(parts):
        assert all(torch.equal(a, b) for a, b in zip(part, alone.at(number), strict=True))


def test_the_fingerprint_changes_with_faces_and_with_how_they_are_shown() -> None:
    others = [
        batches(),
        batches(seed=1),
        batches(people=3),
        batches(look="plain"),
        FaceBatches(drawn_faces(9, 3, seed=1), Showing(people=4, images=2)),
    ]
    assert len({one.fingerprint for one in others}) == len(others)
    assert batches().fingerprint == batches().fingerprint
