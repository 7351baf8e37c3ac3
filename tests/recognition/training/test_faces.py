"""Faces to learn from are cut as the product cuts them, kept once, and split by people."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recognition.embed import embed
from recognition.evaluate.datasets import DatasetError
from recognition.evaluate.embeddings import subject
from recognition.images import PHOTO_LIMITS
from recognition.pipeline import Pipeline
from recognition.training.faces import PARTS, Faces, cut_faces, part_of, split
from tests.recognition.training.drawn import drawn_faces


@pytest.fixture
def folder(tmp_path: Path, face_files: dict[str, Path]) -> Path:
    """Two people, a wall, and a file that is no image."""
    wanted = {"barack/1.jpg": "obama.jpg", "barack/2.jpg": "obama2.jpg", "joe/1.jpg": "biden.jpg"}
    for name, source in wanted.items():
        path = tmp_path / "people" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(face_files[source], path)
    wall = Image.fromarray(np.full((200, 200, 3), 128, np.uint8))
    wall.save(tmp_path / "people" / "joe" / "wall.png")
    (tmp_path / "people" / "joe" / "broken.jpg").write_bytes(b"no image")
    return tmp_path / "people"


def cut(pipeline: Pipeline, folder: Path, cache: Path) -> tuple[Faces, list[tuple[int, int]]]:
    told: list[tuple[int, int]] = []
    faces = cut_faces(
        pipeline, [folder], cache, progress=lambda done, total: told.append((done, total))
    )
    return faces, told


class TestCutting:
    def test_each_image_gives_its_face_and_those_without_are_named(
        self, pipeline: Pipeline, folder: Path, tmp_path: Path
    ) -> None:
        faces, told = cut(pipeline, folder, tmp_path / "faces.safetensors")
        assert faces.people == ("barack", "joe")
        assert faces.whose.tolist() == [0, 0, 1]
        assert faces.pixels.shape == (3, 3, 112, 112)
        assert faces.pixels.dtype == torch.uint8
        assert faces.missed == ("joe/wall.png",)
        assert faces.unreadable == ("joe/broken.jpg",)
        assert told[-1] == (5, 5)

    def test_it_is_the_very_view_that_the_product_embeds(
        self, pipeline: Pipeline, models_dir: Path, folder: Path, tmp_path: Path
    ) -> None:
        faces, _ = cut(pipeline, folder, tmp_path / "faces.safetensors")
        alone = pipeline.beside(models_dir, "mobilefacenet")
        (result,) = alone.analyse([(folder / "joe" / "1.jpg").read_bytes()], limits=PHOTO_LIMITS)
        face = subject(result)
        assert face is not None
        with torch.inference_mode():
            found = embed(alone.embedder, faces.pixels[2:].float())[0].numpy()
        assert float(found @ face.embedding) > 0.999

    def test_the_second_time_it_comes_from_the_cache(
        self, pipeline: Pipeline, folder: Path, tmp_path: Path
    ) -> None:
        cache = tmp_path / "faces.safetensors"
        first, _ = cut(pipeline, folder, cache)
        written = cache.stat().st_mtime_ns
        again, told = cut(pipeline, folder, cache)
        assert cache.stat().st_mtime_ns == written
        assert told == [(5, 5)]
        assert torch.equal(again.pixels, first.pixels)
        assert torch.equal(again.whose, first.whose)
        assert (again.people, again.missed, again.unreadable, again.fingerprint) == (
            first.people,
            first.missed,
            first.unreadable,
            first.fingerprint,
        )

    def test_another_image_makes_it_anew_with_another_fingerprint(
        self, pipeline: Pipeline, folder: Path, tmp_path: Path
    ) -> None:
        cache = tmp_path / "faces.safetensors"
        first, _ = cut(pipeline, folder, cache)
        shutil.copy(folder / "barack" / "2.jpg", folder / "joe" / "broken.jpg")
        again, _ = cut(pipeline, folder, cache)
        assert again.fingerprint != first.fingerprint
        assert again.whose.tolist() == [0, 0, 1, 1]

    @pytest.mark.parametrize("spoilt", [b"", b"no safetensors", b"\xff" * 100])
    def test_a_damaged_cache_is_made_anew(
        self, pipeline: Pipeline, folder: Path, tmp_path: Path, spoilt: bytes
    ) -> None:
        cache = tmp_path / "faces.safetensors"
        cache.write_bytes(spoilt)
        assert cut(pipeline, folder, cache)[0].people == ("barack", "joe")

    def test_only_its_owner_may_read_the_cache(
        self, pipeline: Pipeline, folder: Path, tmp_path: Path
    ) -> None:
        cut(pipeline, folder, tmp_path / "faces.safetensors")
        assert stat.S_IMODE((tmp_path / "faces.safetensors").stat().st_mode) == 0o600

    def test_a_name_that_two_folders_have_is_refused(
        self, pipeline: Pipeline, folder: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(DatasetError, match="both have 'barack'"):
            cut_faces(pipeline, [folder, folder], tmp_path / "x", progress=lambda done, total: None)

    def test_images_without_any_face_are_refused(self, pipeline: Pipeline, tmp_path: Path) -> None:
        (tmp_path / "walls" / "a").mkdir(parents=True)
        Image.new("RGB", (90, 90)).save(tmp_path / "walls" / "a" / "1.png")
        with pytest.raises(DatasetError, match="No face"):
            cut(pipeline, tmp_path / "walls", tmp_path / "x")


class TestSplit:
    def test_nobody_is_in_two_parts_and_nobody_in_none(self) -> None:
        faces = drawn_faces(60, 2)
        parts = split(faces, seed=3)
        people = [set(parts[part].people) for part in PARTS]
        assert set().union(*people) == set(faces.people)
        assert sum(map(len, people)) == 60

    def test_the_same_seed_gives_the_same_parts_another_gives_others(self) -> None:
        names = [f"person {number}" for number in range(200)]
        one, again, other = ([part_of(name, seed) for name in names] for seed in (1, 1, 2))
        assert one == again != other

    def test_parts_have_about_their_shares(self) -> None:
        parts = [part_of(str(number), 0) for number in range(4000)]
        assert parts.count("train") / 4000 == pytest.approx(0.7, abs=0.03)
        assert parts.count("validation") / 4000 == pytest.approx(0.1, abs=0.02)

    def test_who_comes_later_moves_nobody(self) -> None:
        few, many = split(drawn_faces(50, 2), seed=0), split(drawn_faces(70, 2), seed=0)
        for part in PARTS:
            assert set(few[part].people) <= set(many[part].people)

    def test_a_persons_images_stay_theirs(self) -> None:
        faces = drawn_faces(50, 3)
        for part in split(faces, seed=0).values():
            for place, name in enumerate(part.people):
                own = faces.pixels[faces.whose == faces.people.index(name)]
                assert torch.equal(part.pixels[part.whose == place], own)

    def test_who_has_too_few_images_is_left_out(self) -> None:
        faces = drawn_faces(50, 2)
        alone = Faces(faces.pixels[1:], faces.whose[1:], faces.people, (), (), "x")
        parts = split(alone, seed=0)
        assert faces.people[0] not in set().union(*(part.people for part in parts.values()))

    def test_who_is_left_out_is_in_no_part_and_changes_none_but_their_own(self) -> None:
        faces = drawn_faces(50, 2)
        parts = split(faces, seed=0)
        lone = parts["test"].people[0]
        without = split(faces, seed=0, without=[lone])
        assert lone not in without["test"].people
        assert without["test"].fingerprint != parts["test"].fingerprint
        assert without["train"].fingerprint == parts["train"].fingerprint

    def test_the_fingerprint_says_which_people(self) -> None:
        parts = split(drawn_faces(50, 2), seed=0)
        assert len({part.fingerprint for part in parts.values()}) == 3

    def test_too_few_people_are_refused(self) -> None:
        with pytest.raises(DatasetError, match="more people are needed"):
            split(drawn_faces(3, 2), seed=0)
