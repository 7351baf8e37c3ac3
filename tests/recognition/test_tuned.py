"""A fine-tuned embedder: registered on top of its parent, and run on the parent's path."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from recognition import embedders
from recognition.adapter import Adapter
from recognition.embed import MobileFaceNet
from recognition.embedders import embed_again
from recognition.evaluate.calibration import calibrate
from recognition.imported import calibration_file, weights_file
from recognition.importing import Wanted, forget_model, import_model
from recognition.pipeline import Pipeline, Runtime
from recognition.registering import register_tuned
from recognition.tuned import Tuned, load_tuned
from recognition.types import ModelInfo, Pixels
from recognition.weights import WeightsError
from tests.recognition.importer import held, quiet
from tests.recognition.onnx_files import as_bytes, small_arcface
from tests.recognition.test_batch_independence import jpeg

CPU = torch.device("cpu")


@pytest.fixture
def home(tmp_path: Path, models_dir: Path) -> Path:
    """An installation of its own."""
    (tmp_path / "models").mkdir()
    for file in models_dir.iterdir():
        if file.name == "manifest.json":
            shutil.copy(file, tmp_path / "models")
        else:
            (tmp_path / "models" / file.name).symlink_to(file)
    return tmp_path


def adapter(dimension: int, hidden: int = 8, *, gated: bool = False) -> Adapter:
    """One that changes vectors enough to be seen, always the same."""
    torch.manual_seed(3)
    made = Adapter(dimension, hidden, gated=gated)
    for value in made.parameters():
        torch.nn.init.normal_(value, std=0.1)
    return made.eval().requires_grad_(requires_grad=False)


def learnt(home: Path, parent: str = "fused", hidden: int = 8, *, gated: bool = False) -> Tuned:
    model = embedders.load(home / "models", parent, CPU).model
    return Tuned(parent, model, adapter(model.dimension, hidden, gated=gated))


def other_blocks(home: Path, parent: str) -> Tuned:
    loaded = embedders.load(home / "models", parent, CPU)
    net = MobileFaceNet()
    net.load_state_dict(loaded.first.state_dict())
    with torch.no_grad():
        list(net.parameters())[-2].mul_(1.5).add_(0.01)
    return Tuned(parent, loaded.model, first=net.eval())


def calibration(tuned: Tuned, name: str, people: int = 300) -> dict[str, object]:
    info = tuned.named(name)
    vectors = np.random.default_rng(0).normal(size=(people, info.dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return calibrate(vectors, [str(person) for person in range(people)], info, "made up")


def register(home: Path, tuned: Tuned, name: str = "ours") -> ModelInfo:
    record: Mapping[str, object] = {"data": "a fingerprint"}
    return register_tuned(home, name, tuned, record, calibration(tuned, name), quiet)


def vectors_of(pipeline: Pipeline, images: list[Pixels]) -> np.ndarray:
    return np.array([result.faces[0].embedding for result in pipeline.analyse_pixels(images)])


class TestRegistered:
    def test_the_manifest_says_what_it_is_and_where_it_comes_from(self, home: Path) -> None:
        tuned = learnt(home)
        info = register(home, tuned)
        entry = json.loads((home / "models" / "manifest.json").read_text())["imported"]["ours"]
        assert entry["model"]["sha256"] == info.sha256 != tuned.parent_model.sha256
        assert entry["parent"]["sha256"] == tuned.parent_model.sha256
        assert entry["training"] == {"data": "a fingerprint"}
        assert info.licence == "MIT and CC0-1.0, fine-tuned"
        assert info.dimension == 320
        assert json.loads(calibration_file(home / "models", "ours").read_text())["thresholds"]
        assert embedders.installed(home / "models")["ours"] == info

    def test_twice_is_as_good_as_once(self, home: Path) -> None:
        register(home, learnt(home))
        once = held(home)
        register(home, learnt(home))
        assert held(home) == once

    @pytest.mark.parametrize("name", ["fused", "mobilefacenet", "Ours", "../ours", ""])
    def test_a_name_that_is_none_or_ours_is_refused(self, home: Path, name: str) -> None:
        before = held(home)
        with pytest.raises(WeightsError, match="cannot be the model's name"):
            register(home, learnt(home), name)
        assert held(home) == before

    def test_other_weights_under_the_same_name_are_refused(self, home: Path) -> None:
        register(home, learnt(home))
        before = held(home)
        with pytest.raises(WeightsError, match="Another model was imported as ours"):
            register(home, learnt(home, hidden=4))
        assert held(home) == before, "nor has its calibration changed"

    def test_without_a_calibration_of_its_own_it_is_refused(self, home: Path) -> None:
        tuned, before = learnt(home), held(home)
        for unfit, why in (
            (calibration(learnt(home, hidden=4), "ours"), "of another model"),
            (calibration(tuned, "ours", people=50), "too few"),
        ):
            with pytest.raises(WeightsError, match=why):
                register_tuned(home, "ours", tuned, {}, unfit, quiet)
        assert held(home) == before

    def test_its_parent_cannot_be_forgotten_before_it(self, home: Path) -> None:
        file = home / "ours.onnx"
        file.write_bytes(as_bytes(small_arcface(dimension=96)))
        import_model(home, file, Wanted("theirs", "own"), quiet)
        register(home, learnt(home, "theirs"))
        with pytest.raises(WeightsError, match="ours was fine-tuned on top of theirs"):
            forget_model(home, "theirs", quiet)
        forget_model(home, "ours", quiet)
        forget_model(home, "theirs", quiet)


class TestRefused:
    def test_a_changed_file_is_refused(self, home: Path) -> None:
        register(home, learnt(home))
        path = weights_file(home / "models", "ours")
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        with pytest.raises(WeightsError, match="was changed"):
            embedders.load(home / "models", "ours", CPU)

    def test_on_top_of_another_parent_it_is_refused(self, home: Path) -> None:
        tuned = learnt(home)
        other = embedders.load(home / "models", "mobilefacenet", CPU)
        with pytest.raises(WeightsError, match=r"on top of mobilefacenet\+resnet29"):
            embedders.with_tuned(other, tuned)

    def test_one_whose_parent_is_gone_is_refused(self, home: Path) -> None:
        file = home / "ours.onnx"
        file.write_bytes(as_bytes(small_arcface(dimension=96)))
        import_model(home, file, Wanted("theirs", "own"), quiet)
        register(home, learnt(home, "theirs"))
        manifest = home / "models" / "manifest.json"
        content = json.loads(manifest.read_text())
        del content["imported"]["theirs"]
        manifest.write_text(json.dumps(content))
        with pytest.raises(WeightsError, match="no embedder called theirs"):
            embedders.load(home / "models", "ours", CPU)

    def test_a_manifest_that_makes_it_its_own_parent_is_refused(self, home: Path) -> None:
        register(home, learnt(home))
        register(home, Tuned("ours", load_model(home, "ours"), adapter(320)), "loop")
        with pytest.raises(WeightsError, match="fine-tuned itself"):
            embedders.load(home / "models", "loop", CPU)

    def test_blocks_of_a_parent_without_mobilefacenet_are_refused(self, home: Path) -> None:
        file = home / "ours.onnx"
        file.write_bytes(as_bytes(small_arcface(dimension=96)))
        import_model(home, file, Wanted("theirs", "own"), quiet)
        parent = embedders.load(home / "models", "theirs", CPU)
        with pytest.raises(WeightsError, match="has no MobileFaceNet"):
            embedders.with_tuned(
                parent, Tuned("theirs", parent.model, first=MobileFaceNet().eval())
            )


def load_model(home: Path, name: str) -> ModelInfo:
    tuned = load_tuned(home / "models", name)
    assert tuned is not None
    assert tuned.model is not None
    return tuned.model


@pytest.mark.parametrize("parent", ["mobilefacenet", "fused"])
@pytest.mark.parametrize("what", ["adapter", "gated", "blocks"])
@pytest.mark.parametrize("runtime", ["torch", "auto"])
def test_it_gives_what_was_learnt_alone_and_in_any_batch(
    home: Path, portraits: dict[str, Pixels], parent: str, what: str, runtime: Runtime
) -> None:
    blocks = what == "blocks"
    tuned = other_blocks(home, parent) if blocks else learnt(home, parent, gated=what == "gated")
    info = register(home, tuned)
    engine, base = (
        Pipeline.load(
            home / "models",
            device="cpu",
            threads=1,
            runtime=runtime,
            precision="float32",
            embedder=name,
        )
        for name in ("ours", parent)
    )
    images = list(portraits.values())[:4]
    together = vectors_of(engine, images)
    assert together.shape == (len(images), info.dimension)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    alone = np.concatenate([vectors_of(engine, [image]) for image in images])
    np.testing.assert_allclose(together, alone, atol=1e-4)
    before = vectors_of(base, images)
    assert np.abs(together - before).max() > 1e-3
    if tuned.adapter is not None:
        expected = tuned.adapter(torch.from_numpy(before)).numpy()
        np.testing.assert_allclose(together, expected, atol=1e-5)
    (face,) = engine.analyse_pixels([images[0]])[0].faces[:1]
    assert face.quality is not None
    assert (face.quality.certainty is None) == blocks, "its vectors' length is new"


def test_beside_another_pipeline_and_on_faces_found_before_it_is_the_same(
    home: Path, portraits: dict[str, Pixels]
) -> None:
    register(home, learnt(home))
    models = home / "models"
    alone = Pipeline.load(models, device="cpu", threads=1, embedder="ours")
    beside = Pipeline.load(models, device="cpu", threads=1).beside(models, "ours")
    assert beside.model == alone.model
    image = jpeg(portraits["obama.jpg"])
    (face,), (same,) = (each.analyse([image])[0].faces for each in (alone, beside))
    assert face.embedding is not None
    assert same.embedding is not None
    np.testing.assert_allclose(same.embedding, face.embedding, atol=1e-5)
    again = embed_again(beside.embedding, image, [face])
    np.testing.assert_allclose(again[0], face.embedding, atol=1e-3)
