"""A fine-tune learns what a site needs; spoilt ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from recognition.adapter import Adapter
from recognition.embedders import Embedder
from recognition.evaluate.datasets import DatasetError, Pair, Portrait
from recognition.training.finetune import Material, Outcome, finetune, judged, parts_of
from recognition.training.guard import Verdict
from recognition.training.subjects import split_people
from recognition.training.trainer import DivergedError
from recognition.training.tuning import TuneSettings
from recognition.tuned import Tuned
from recognition.types import ModelInfo
from tests.recognition.training.made_people import DIMENSION, NUISANCE, made_people

PARENT = ModelInfo("made", "1", "1" * 64, "own", DIMENSION)
EMBEDDER = Embedder(nn.Identity(), PARENT, torch.device("cpu"))
SITE = made_people("site", 80, 5, nuisance=1.8, seed=1)
GENERAL = made_people("general", 520, 2, nuisance=0.0, noise=0.4, seed=2)
CHANCE = torch.Generator().manual_seed(8)
MATERIAL = Material(SITE, GENERAL, data="made up")
PARTS = parts_of(MATERIAL, held_out=0.5, seed=0)
SETTINGS = TuneSettings(what="adapter", steps=150, learning_rate=2e-3, keep=1.0)


def tuned_by(settings: TuneSettings, folder: Path, material: Material = MATERIAL) -> Outcome:
    parts = parts_of(material, held_out=0.5, seed=0)
    return finetune(EMBEDDER, "made", material, parts, settings, folder)


def judge_adapter(adapter: Adapter) -> Verdict:
    return judged(Tuned("made", PARENT, adapter.eval()), None, MATERIAL, PARTS)


def filled(weights: torch.Tensor) -> Adapter:
    adapter = Adapter(DIMENSION)
    with torch.no_grad():
        adapter.get_parameter("change.weight").copy_(weights)
    return adapter


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return tuned_by(SETTINGS, tmp_path_factory.mktemp("run"))


def test_it_learns_to_look_past_what_the_site_does_to_faces(outcome: Outcome) -> None:
    assert outcome.verdict.passed, outcome.verdict.reasons
    site = outcome.verdict.figures["site"]
    assert isinstance(site, dict)
    assert site["gain"] > 1
    assert site["gain_at_least"] > 0
    assert outcome.record["people_learnt_from"] == 40
    adapter = outcome.tuned.adapter
    assert adapter is not None
    weights = adapter.get_parameter("change.weight")
    nuisance = weights.diagonal()[:NUISANCE].mean()
    assert nuisance < weights.diagonal()[NUISANCE:].mean(), "those directions are damped"


def test_the_same_seed_gives_the_same_model(outcome: Outcome, tmp_path: Path) -> None:
    again = tuned_by(SETTINGS, tmp_path)
    assert again.tuned.named("ours") == outcome.tuned.named("ours")
    assert again.record == outcome.record


def test_no_file_of_the_run_holds_a_face_a_vector_or_a_centre(tmp_path: Path) -> None:
    tuned_by(TuneSettings(what="adapter", steps=4, learning_rate=1e-4), tmp_path)
    adapter = DIMENSION * DIMENSION * 4
    for file in tmp_path.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            if file.suffix != ".html":  # which has the curves' picture
                assert len(content) < 4 * adapter, "weights, their two moments, and words"
            for row in (SITE.vectors[0], GENERAL.vectors[0]):
                assert row.numpy().tobytes() not in content
            assert b"site00" not in content


class TestSpoilt:
    def test_noise_in_place_of_weights_is_refused(self) -> None:
        random = torch.Generator().manual_seed(4)
        left, right = (torch.randn(DIMENSION, 2, generator=random) for _ in range(2))
        found = judge_adapter(filled(left @ right.T))
        assert any("not significantly better" in reason for reason in found.reasons)
        assert any("loses on the general set" in reason for reason in found.reasons)

    def test_weights_that_are_no_numbers_are_refused(self) -> None:
        found = judge_adapter(filled(torch.full((DIMENSION, DIMENSION), float("nan"))))
        assert found.reasons == ("some of its vectors are no numbers",)

    def test_everybody_in_one_place_is_refused(self) -> None:
        one = torch.zeros(DIMENSION, DIMENSION)
        one[0] = 100  # whatever comes in, the first number is by far the largest
        found = judge_adapter(filled(one))
        assert not found.passed

    def test_better_on_the_site_by_forgetting_the_others_is_refused(self) -> None:
        good = torch.zeros(DIMENSION, DIMENSION)
        good.diagonal()[:NUISANCE] = -0.7
        assert judge_adapter(filled(good)).passed
        # A general set of people who differ only where the site's cameras blur.
        general = made_people("general", 520, 2, nuisance=0.0, noise=0.1, seed=2)
        elsewhere = torch.randn(general.vectors[:, NUISANCE:].shape, generator=CHANCE)
        general.vectors[:, NUISANCE:] = 0.02 * elsewhere
        general.vectors.div_(general.vectors.norm(dim=1, keepdim=True))
        material = Material(SITE, general, data="made up")
        parts = parts_of(material, held_out=0.5, seed=0)
        harsh = torch.zeros(DIMENSION, DIMENSION)
        harsh.diagonal()[:NUISANCE] = -0.999
        found = judged(Tuned("made", PARENT, filled(harsh).eval()), None, material, parts)
        assert found.reasons
        assert all("general set" in reason for reason in found.reasons), found.reasons

    def test_learnt_by_heart_it_is_refused(self, tmp_path: Path) -> None:
        noisy = made_people("site", 80, 2, nuisance=0.0, noise=2.5, seed=7)
        settings = TuneSettings(
            what="adapter", hidden=256, steps=120, learning_rate=2e-2, keep=0.0, replayed=1
        )
        found = tuned_by(settings, tmp_path, Material(noisy, GENERAL, data="made up")).verdict
        assert any("not significantly better" in reason for reason in found.reasons)

    def test_a_training_that_explodes_ends_with_an_error(self, tmp_path: Path) -> None:
        broken = made_people("site", 80, 5, nuisance=1.8, seed=1)
        broken.vectors[:] = float("nan")
        with pytest.raises(DivergedError):
            tuned_by(SETTINGS, tmp_path, Material(broken, GENERAL, data="made up"))


class TestParts:
    def test_nobody_is_in_two(self) -> None:
        site = [PARTS.learn, PARTS.validate, PARTS.held_out]
        assert PARTS.replay is not None
        assert PARTS.replay_validate is not None
        assert PARTS.general is not None
        general = [PARTS.replay, PARTS.replay_validate, PARTS.general]
        for parts, whole in ((site, SITE), (general, GENERAL)):
            together = [person for part in parts for person in part.everybody]
            assert sorted(together) == whole.everybody

    def test_another_seed_holds_out_others(self) -> None:
        other = parts_of(MATERIAL, held_out=0.5, seed=1)
        assert other.held_out.everybody != PARTS.held_out.everybody
        assert len(other.held_out.everybody) == len(PARTS.held_out.everybody) == 40

    def test_people_of_listed_pairs_are_measured_on_and_never_replayed(self) -> None:
        pairs = [Pair(0, Portrait("general0003", 0, "0.jpg"), Portrait("general0007", 0, "1.jpg"))]
        parts = parts_of(Material(SITE, GENERAL, general_pairs=pairs), held_out=0.5, seed=0)
        assert parts.general is not None
        assert parts.replay is not None
        assert parts.general.everybody == ["general0003", "general0007"]
        assert not {"general0003", "general0007"} & set(parts.replay.people)

    def test_too_few_people_are_refused(self) -> None:
        with pytest.raises(DatasetError, match="at least 10 people"):
            parts_of(Material(made_people("few", 20, 4, nuisance=1.0)), held_out=0.5, seed=0)

    def test_who_has_one_photo_teaches_nothing_and_is_left_out(self) -> None:
        single = made_people("few", 40, 1, nuisance=1.0)
        with pytest.raises(DatasetError, match="of 40 people there are 0"):
            parts_of(Material(single), held_out=0.5, seed=0)

    def test_samples_are_replayed_where_there_is_no_general_set(self) -> None:
        samples = made_people("sample", 3, 2, nuisance=0.0)
        parts = parts_of(Material(SITE, samples=samples), held_out=0.5, seed=0)
        assert parts.replay is samples
        assert parts.general is None

    def test_a_split_has_everybody_once(self) -> None:
        names = [str(number) for number in range(17)]
        parts = split_people(names, [0.5, 0.2], 3)
        assert [len(part) for part in parts] == [8, 3, 6]
        assert sorted(set.union(*parts)) == sorted(names)
        assert parts == split_people(reversed(names), [0.5, 0.2], 3)  # type: ignore[arg-type]
