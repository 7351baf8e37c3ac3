"""An imported embedder in the pipeline and at the door: it decides only with a calibration."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import redis
from django.conf import settings as django_settings
from pytest_django.fixtures import Settings

from accesscontrol import checks, crypto, keyring
from accesscontrol.admin.site import meaning
from accesscontrol.frames import FrameOutlet
from accesscontrol.gallery import Probe, nearest
from accesscontrol.models import Decision, Outcome, PadPolicy, Punch, Site, Threshold
from recognition.commands import main
from recognition.compiled import available
from recognition.evaluate import calibration
from recognition.evaluate.calibration import calibrate, unfit_for_a_door
from recognition.fetch import fetch_models
from recognition.imported import calibration_file
from recognition.importing import (
    LARGEST_DIMENSION,
    SMALLEST_DIMENSION,
    Wanted,
    import_model,
)
from recognition.pipeline import Pipeline
from recognition.tasks import model_facts
from recognition.types import ModelInfo, Pixels
from recognition.weights import WeightsError
from recognition.worker import Recogniser
from tests.enrolled import template
from tests.factories import EmployeeFactory, ModelVersionFactory, SiteFactory
from tests.plugin import MODELS_HOME
from tests.recognition.onnx_files import as_bytes, small_arcface
from tests.recognition.walk import Screen, enrol_face, kiosk_at, picture, walk_up


def quiet(message: str) -> None:
    """Progress is for people."""


@pytest.fixture
def home(tmp_path: Path, models_dir: Path) -> Path:
    """An installation of its own with a company's embedder, `ours`, of 96 numbers."""
    shutil.copytree(models_dir, tmp_path / "models")
    file = tmp_path / "ours.onnx"
    file.write_bytes(as_bytes(small_arcface(dimension=96)))
    import_model(tmp_path, file, Wanted("ours", "own", version="7"), quiet)
    return tmp_path


@pytest.fixture
def ours(home: Path) -> Pipeline:
    return Pipeline.load(home / "models", device="cpu", embedder="ours")


def made_up(model: ModelInfo, people: int = 300) -> dict[str, object]:
    """A calibration as real ones are made, of embeddings drawn at random."""
    vectors = np.random.default_rng(0).normal(size=(people, 96)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return calibrate(vectors, [str(person) for person in range(people)], model, "made up")


class TestPipeline:
    def test_it_gives_unit_vectors_of_its_dimension(
        self, ours: Pipeline, portraits: dict[str, Pixels]
    ) -> None:
        images = list(portraits.values())
        found = [result.faces[0].embedding for result in ours.analyse_pixels(images)]
        together = np.array(found)
        assert together.shape == (len(images), 96)
        np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
        alone = [ours.analyse_pixels([image])[0].faces[0].embedding for image in images]
        np.testing.assert_allclose(together, np.array(alone), atol=1e-4)
        assert (ours.model.name, ours.model.version, ours.model.dimension) == ("ours", "7", 96)

    def test_the_length_of_its_vectors_is_not_taken_for_quality(
        self, ours: Pipeline, pipeline: Pipeline, portraits: dict[str, Pixels]
    ) -> None:
        image = portraits["obama.jpg"]
        (mine,), (known,) = (net.analyse_pixels([image])[0].faces for net in (ours, pipeline))
        assert mine.quality is not None
        assert known.quality is not None
        assert mine.quality.certainty is None
        assert known.quality.certainty is not None
        assert 0.5 < mine.quality.score < 1
        assert mine.quality.components == pytest.approx(known.quality.components, abs=1e-5)

    def test_a_frame_without_a_face_has_none(self, ours: Pipeline) -> None:
        (result,) = ours.analyse_pixels([np.zeros((200, 200, 3), np.uint8)])
        assert result.faces == ()

    def test_one_that_is_not_there_is_an_error_that_names_those_that_are(self, home: Path) -> None:
        with pytest.raises(WeightsError, match=r"called theirs .* mobilefacenet, fused, ours"):
            Pipeline.load(home / "models", device="cpu", embedder="theirs")

    @pytest.mark.skipif(not available(), reason="OpenVINO is not installed")
    def test_torch_runs_it_beside_openvino(self, home: Path, portraits: dict[str, Pixels]) -> None:
        both = [
            Pipeline.load(home / "models", device="cpu", runtime=runtime, embedder="ours")
            for runtime in ("torch", "openvino")
        ]
        image = portraits["obama.jpg"]
        (one,), (other,) = (each.analyse_pixels([image])[0].faces for each in both)
        assert one.embedding is not None
        assert other.embedding is not None
        assert one.embedding @ other.embedding > 0.999

    def test_fetching_other_models_later_leaves_it_there(self, home: Path) -> None:
        (home / "cache").symlink_to(MODELS_HOME / "cache")
        (home / "models" / "mobilefacenet.safetensors").write_bytes(b"damaged")
        fetch_models(home, say=quiet)
        assert Pipeline.load(home / "models", device="cpu", embedder="ours").model.name == "ours"


class TestCommands:
    @pytest.fixture(autouse=True)
    def at_home(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GATEHOUSE_HOME", str(home))

    def test_analyse_and_bench_take_it_by_name(
        self, face_files: dict[str, Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        image = str(face_files["astronaut.png"])
        assert main(["analyse", "--json", "--embedder", "ours", image]) == 0
        (face,) = json.loads(capsys.readouterr().out)["faces"]
        assert len(face["embedding"]) == 96
        options = ["--rounds", "1", "--device", "cpu", "--image", image, "--json"]
        assert main(["bench", "--embedder", "ours", *options]) == 0
        assert json.loads(capsys.readouterr().out)["embed_ms"] > 0

    def test_a_calibration_from_too_few_people_is_not_kept(
        self,
        home: Path,
        face_files: dict[str, Path],
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        for name in ("obama.jpg", "biden.jpg"):
            (tmp_path / "people" / name).mkdir(parents=True)
            shutil.copy(face_files[name], tmp_path / "people" / name)
        options = ["--embedder", "ours", "--images", str(tmp_path / "people"), "--data", "two"]
        assert main(["evaluate", "calibrate", *options]) == 1
        error = capsys.readouterr().err
        assert "Nothing was written: 1 pairs of two people are too few" in error
        assert "30,000" in error
        assert not calibration_file(home / "models", "ours").exists()
        elsewhere = tmp_path / "two.json"
        assert main(["evaluate", "calibrate", *options, "--out", str(elsewhere)]) == 0
        assert json.loads(elsewhere.read_text())["model"]["name"] == "ours"

    def test_a_calibration_from_enough_pairs_is_kept_where_workers_find_it(
        self,
        home: Path,
        ours: Pipeline,
        face_files: dict[str, Path],
        settings: Settings,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        settings.MODELS_DIR = home / "models"
        monkeypatch.setattr(calibration, "FEWEST_FALSE_MATCHES", 1e-3)  # of six portraits
        for name, file in face_files.items():
            (home / "people" / name).mkdir(parents=True)
            shutil.copy(file, home / "people" / name)
        options = ["--embedder", "ours", "--images", str(home / "people"), "--data", "portraits"]
        assert main(["evaluate", "calibrate", *options]) == 0
        kept = calibration_file(home / "models", "ours")
        assert capsys.readouterr().out.strip() == str(kept)
        facts = model_facts(ours)
        assert facts.calibration["data"] == "portraits"
        assert set(facts.calibration["thresholds"]) == {"1e-2", "1e-3", "1e-4", "1e-5", "1e-6"}

    def test_a_calibration_from_one_person_is_a_clear_error(
        self, face_files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "people" / "one").mkdir(parents=True)
        shutil.copy(face_files["obama.jpg"], tmp_path / "people" / "one")
        options = ["--embedder", "ours", "--images", str(tmp_path / "people"), "--data", "one"]
        assert main(["evaluate", "calibrate", *options]) == 1
        assert "at least two people" in capsys.readouterr().err


def test_what_gives_no_threshold_is_unfit(ours: Pipeline) -> None:
    assert unfit_for_a_door(made_up(ours.model)) is None
    few = unfit_for_a_door(made_up(ours.model, people=100))
    assert few is not None
    assert "4,950 pairs" in few
    same = np.tile(np.eye(1, 96, dtype=np.float32), (300, 1))
    blind = calibrate(same, [str(person) for person in range(300)], ours.model, "all alike")
    reason = unfit_for_a_door(blind)
    assert reason is not None
    assert "does not tell these people apart" in reason


class TestFacts:
    @pytest.fixture(autouse=True)
    def at_home(self, home: Path, settings: Settings) -> None:
        settings.MODELS_DIR = home / "models"

    def test_they_hold_the_companys_own_calibration(self, ours: Pipeline, home: Path) -> None:
        assert model_facts(ours).calibration == {}
        measured = made_up(ours.model)
        calibration_file(home / "models", "ours").write_text(json.dumps(measured))
        thresholds = model_facts(ours).calibration["thresholds"]
        assert 0 < thresholds["1e-2"] < thresholds["1e-6"] < 1

    @pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"model": {}}', "{}"])
    def test_a_damaged_calibration_is_none(self, ours: Pipeline, home: Path, content: str) -> None:
        calibration_file(home / "models", "ours").write_text(content)
        assert model_facts(ours).calibration == {}

    def test_a_calibration_of_other_weights_or_of_too_few_pairs_is_none(
        self, ours: Pipeline, home: Path
    ) -> None:
        file = calibration_file(home / "models", "ours")
        other = ModelInfo("ours", "7", "0" * 64, "own", 96)
        for unfit in (made_up(other), made_up(ours.model, people=100)):
            file.write_text(json.dumps(unfit))
            assert model_facts(ours).calibration == {}


@pytest.fixture
def site(db: None) -> Site:
    return SiteFactory.create(pad_policy=PadPolicy.OFF)


@pytest.fixture
def screen(site: Site, valkey: redis.Redis) -> Iterator[Screen]:
    opened = Screen(kiosk_at(site))
    yield opened
    opened.close()


@pytest.mark.django_db
def test_without_a_calibration_nobody_is_accepted_and_with_one_the_person_is(
    site: Site,
    screen: Screen,
    outlet: FrameOutlet,
    ours: Pipeline,
    home: Path,
    portraits: dict[str, Pixels],
    settings: Settings,
) -> None:
    settings.MODELS_DIR = home / "models"
    worker = Recogniser(ours, outlet, model_facts(ours))
    version = worker.version()
    assert version.is_active
    enrol_face(EmployeeFactory.create(site=site), portraits["obama.jpg"], ours)
    walk = [picture(portraits["obama.jpg"])] * 3

    walk_up(screen, worker, walk)
    screen.rest()
    worker.drain()
    refused = Decision.objects.get()
    assert refused.outcome != Outcome.ACCEPTED
    assert refused.threshold is None
    assert not Punch.objects.exists()
    assert "evaluate calibrate --embedder ours" in meaning(site)
    found = checks.database_is_fit(None, databases=["default"])
    (warning,) = [message for message in found if message.id == "gatehouse.W007"]
    assert "evaluate calibrate --embedder ours" in str(warning.hint)

    measured = made_up(ours.model)
    calibration_file(home / "models", "ours").write_text(json.dumps(measured))
    restarted = Recogniser(ours, outlet, model_facts(ours))
    restarted.version()
    threshold = Threshold.objects.get()
    assert (threshold.site, threshold.model_version) == (site, version)
    assert "false match rate 1e-6" in threshold.reason

    walk_up(screen, restarted, walk)
    screen.rest()
    restarted.drain()
    assert Decision.objects.filter(outcome=Outcome.ACCEPTED, threshold=threshold.value).count() == 1
    assert Punch.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("dimension", [SMALLEST_DIMENSION, LARGEST_DIMENSION])
def test_templates_of_every_dimension_that_is_let_in_are_stored_and_found(dimension: int) -> None:
    version = ModelVersionFactory.create(dimension=dimension)
    someone, other = EmployeeFactory.create_batch(2, site=SiteFactory.create())
    vectors = np.random.default_rng(2).normal(size=(2, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for employee, vector in zip((someone, other), vectors, strict=True):
        template(employee, vector, version=version)
    keys = keyring.load(django_settings.KEYRING_PATH).templates
    probe = Probe(someone.site_id, crypto.rotate(vectors[0], keys.key(keys.current)))
    ((first, second),) = nearest([probe], version, keys.current)
    assert (first.employee_id, second.employee_id) == (someone.pk, other.pk)
    assert first.score == pytest.approx(1, abs=1e-3)
