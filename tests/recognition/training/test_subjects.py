"""Photos become aligned faces with their vectors, in memory, on the path of enrolment."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recognition.embed import embed
from recognition.embedders import load
from recognition.images import PHOTO_LIMITS
from recognition.pipeline import Pipeline
from recognition.training.subjects import Photo, find_subjects, photos_in


def test_each_photos_subject_has_its_vector_and_its_aligned_face(
    pipeline: Pipeline, models_dir: Path, face_files: dict[str, Path]
) -> None:
    people = {"b": [face_files["biden.jpg"]], "a": [face_files["obama2.jpg"]]}
    found = find_subjects(pipeline, photos_in(people))
    assert (found.people, found.names) == (("a", "b"), ("obama2.jpg", "biden.jpg"))
    assert found.labels.tolist() == [0, 1]
    (result,) = pipeline.analyse([face_files["obama2.jpg"].read_bytes()], limits=PHOTO_LIMITS)
    assert result.faces[0].embedding is not None
    seen = torch.from_numpy(result.faces[0].embedding)
    torch.testing.assert_close(found.vectors[0], seen, rtol=0, atol=1e-4)
    net = load(models_dir, "mobilefacenet", torch.device("cpu")).first
    of_face = embed(net, found.faces.float())
    of_photo = torch.nn.functional.normalize(found.vectors[:, :192], dim=1)
    assert float((of_face * of_photo).sum(1).min()) > 0.99, "but for rounding to bytes"


def test_what_has_no_face_or_is_no_image_is_counted(
    pipeline: Pipeline, face_files: dict[str, Path]
) -> None:
    photos = [
        Photo("a", "gone", lambda: b""),
        Photo("a", "broken", lambda: b"no image"),
        Photo("a", "face", face_files["astronaut.png"].read_bytes),
    ]
    told: list[int] = []
    found = find_subjects(pipeline, photos, progress=told.append)
    assert (found.names, found.missed, told) == (("face",), 2, [3])
    with pytest.raises(ValueError, match="no photo has a face"):
        find_subjects(pipeline, photos[:2])


def test_heads_are_turned_always_in_the_same_ways_and_stay_their_persons(
    pipeline: Pipeline, face_files: dict[str, Path]
) -> None:
    people = {"a": [face_files["obama.jpg"]], "b": [face_files["biden.jpg"]]}
    found = find_subjects(pipeline, photos_in(people), turns=3)
    assert found.turned is not None
    assert found.turned.shape == (2, 3, found.vectors.shape[1])
    torch.testing.assert_close(found.turned.norm(dim=2), torch.ones(2, 3))
    away = 1 - (found.turned * found.vectors[:, None]).sum(2)
    assert (away > 0.05).all(), "seen otherwise"
    scores = found.turned.mean(1) @ found.vectors.T
    assert scores.argmax(1).tolist() == [0, 1]
    alone = find_subjects(pipeline, photos_in({"b": people["b"]}), turns=3)
    assert alone.turned is not None
    torch.testing.assert_close(alone.turned[0], found.turned[1], rtol=0, atol=1e-4)
    part = found.of({"b"})
    assert part.turned is not None
    assert torch.equal(part.turned, found.turned[1:])
    plain = find_subjects(pipeline, photos_in(people))
    assert plain.turned is None
    assert plain.fingerprint != found.fingerprint
