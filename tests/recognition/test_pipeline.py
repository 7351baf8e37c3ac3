"""The pipeline: one result for each image, none depending on the others."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recognition.images import PHOTO_LIMITS
from recognition.pipeline import Pipeline
from recognition.types import Face, FrameResult, Pixels


def jpeg(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def embedding_of(face: Face) -> np.ndarray:
    assert face.embedding is not None
    return face.embedding


def cosine(first: Face, second: Face) -> float:
    return float(embedding_of(first) @ embedding_of(second))


@pytest.fixture(scope="module")
def results(pipeline: Pipeline, face_files: dict[str, Path]) -> dict[str, FrameResult]:
    photos = [path.read_bytes() for path in face_files.values()]
    found = pipeline.analyse(photos, limits=PHOTO_LIMITS, with_pad=True)
    return dict(zip(face_files, found, strict=True))


def test_every_portrait_has_its_one_face(results: dict[str, FrameResult]) -> None:
    assert {name: len(result.faces) for name, result in results.items()} == dict.fromkeys(
        results, 1
    )


def test_a_face_is_told_completely(results: dict[str, FrameResult]) -> None:
    for result in results.values():
        (face,) = result.faces
        assert face.box.shape == (4,)
        assert face.points.shape == (5, 2)
        assert face.box.dtype == face.points.dtype == np.float32
        assert embedding_of(face).shape == (320,)
        assert embedding_of(face).dtype == np.float32
        assert np.linalg.norm(embedding_of(face)) == pytest.approx(1, abs=1e-5)
        assert face.quality is not None
        assert face.pad is not None
        assert 0.85 < face.score <= 1
        left_eye, right_eye, nose, left_mouth, right_mouth = face.points
        assert left_eye[0] < right_eye[0]
        assert left_mouth[0] < right_mouth[0]
        assert left_eye[1] < nose[1] < left_mouth[1]


def test_the_same_person_is_close_and_another_is_not(results: dict[str, FrameResult]) -> None:
    faces = {name: result.faces[0] for name, result in results.items()}
    for other in ("obama2.jpg", "obama3.jpg"):
        assert cosine(faces["obama.jpg"], faces[other]) > 0.88
        assert cosine(faces["biden.jpg"], faces[other]) < 0.76
        assert cosine(faces["astronaut.png"], faces[other]) < 0.76


def test_a_batch_of_mixed_frames_gives_what_each_gives_alone(
    pipeline: Pipeline, portraits: dict[str, Pixels]
) -> None:
    frames = [np.ascontiguousarray(image[::2, ::2]) for image in portraits.values()]
    frames += [np.ascontiguousarray(frames[0][:, ::-1]), np.zeros_like(frames[1]), frames[2]]
    for frame, together in zip(frames, pipeline.analyse_pixels(frames), strict=True):
        (alone,) = pipeline.analyse_pixels([frame])
        assert len(alone.faces) == len(together.faces)
        for one, other in zip(alone.faces, together.faces, strict=True):
            np.testing.assert_allclose(one.box, other.box, atol=1e-3)
            np.testing.assert_allclose(one.points, other.points, atol=1e-3)
            np.testing.assert_allclose(embedding_of(one), embedding_of(other), atol=1e-4)
            assert one.score == pytest.approx(other.score, abs=1e-4)


def test_two_people_in_one_frame_are_two_faces_largest_first(
    pipeline: Pipeline, portraits: dict[str, Pixels]
) -> None:
    small, large = portraits["astronaut.png"], portraits["obama.jpg"]
    frame = np.zeros((1137, 1500, 3), np.uint8)
    frame[:512, :512] = small
    frame[:, 560:1470] = large
    (result,) = pipeline.analyse_pixels([frame])
    assert len(result.faces) == 2
    for face, portrait in zip(result.faces, (large, small), strict=True):
        (alone,) = pipeline.analyse_pixels([portrait])
        assert cosine(face, alone.faces[0]) > 0.98


def test_a_bad_frame_gives_its_error_and_spoils_no_other(
    pipeline: Pipeline, portraits: dict[str, Pixels]
) -> None:
    good = jpeg(np.ascontiguousarray(portraits["obama.jpg"][::2, ::2]))
    batch = [b"", good, good[: len(good) // 2], b"garbage", good, bytes(600 * 1024)]
    results = pipeline.analyse(batch)
    codes = [result.error_code for result in results]
    assert codes == ["EMPTY", None, "CORRUPT", "UNKNOWN_TYPE", None, "TOO_LARGE"]
    for result in results:
        assert (result.error is None) == (result.error_code is None)
        assert len(result.faces) == (0 if result.error else 1)
    (alone,) = pipeline.analyse([good])
    for index in (1, 4):
        assert cosine(results[index].faces[0], alone.faces[0]) > 0.9999


def test_only_bad_frames_and_no_frames_at_all(pipeline: Pipeline) -> None:
    assert [result.error_code for result in pipeline.analyse([b"", b"x"])] == [
        "EMPTY",
        "UNKNOWN_TYPE",
    ]
    assert pipeline.analyse([]) == []
    assert pipeline.analyse_pixels([]) == []


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_blank_frame_has_no_face(pipeline: Pipeline, value: int) -> None:
    (result,) = pipeline.analyse_pixels([np.full((480, 640, 3), value, np.uint8)])
    assert (result.width, result.height, result.faces) == (640, 480, ())


def test_pad_scores_are_given_only_when_asked_for(
    pipeline: Pipeline, portraits: dict[str, Pixels]
) -> None:
    (result,) = pipeline.analyse_pixels([portraits["astronaut.png"]])
    assert result.faces[0].pad is None


def test_earlier_calls_leave_no_trace(pipeline: Pipeline, portraits: dict[str, Pixels]) -> None:
    frame = portraits["astronaut.png"]
    before = pipeline.analyse_pixels([frame])[0]
    pipeline.analyse([b"garbage"], smallest_face=200)
    pipeline.analyse_pixels([portraits["biden.jpg"]], smallest_face=80, with_pad=True)
    after = pipeline.analyse_pixels([frame])[0]
    np.testing.assert_array_equal(embedding_of(before.faces[0]), embedding_of(after.faces[0]))


def test_the_pixels_given_are_left_as_they_were(
    pipeline: Pipeline, portraits: dict[str, Pixels]
) -> None:
    frame = portraits["astronaut.png"].copy()
    frame.setflags(write=False)
    pipeline.analyse_pixels([frame], with_pad=True)
    np.testing.assert_array_equal(frame, portraits["astronaut.png"])


def test_threads_with_a_pipeline_each_agree(models_dir: Path, portraits: dict[str, Pixels]) -> None:
    found: list[np.ndarray] = []

    def work() -> None:
        own = Pipeline.load(models_dir, device="cpu")
        (result,) = own.analyse_pixels([portraits["astronaut.png"]])
        found.append(embedding_of(result.faces[0]))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def test_the_model_is_named_with_version_hash_licence_and_dimension(pipeline: Pipeline) -> None:
    model = pipeline.model
    assert (model.name, model.licence) == ("mobilefacenet+resnet29", "MIT and CC0-1.0")
    assert model.version == "1.0.24+1.7.15.mirrored"
    assert model.dimension == 320
    assert len(model.sha256) == 64


def test_auto_takes_cuda_only_where_there_is_one(models_dir: Path) -> None:
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert Pipeline.load(models_dir, device="auto").device.type == expected
