"""A company's own embedder is taken in whole, as what it is, or not at all."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from onnx import numpy_helper

from accesscontrol import embedders
from accesscontrol.environment import read_environment
from recognition import importing
from recognition.commands import main
from recognition.embed import MobileFaceNet, embed, normalise
from recognition.graph_net import GraphNet
from recognition.imported import (
    BUILT_IN,
    NAME,
    ImportedNet,
    calibration_file,
    entries,
    keep_imported,
    load_imported,
    weights_file,
)
from recognition.iresnet import IResNet
from recognition.onnx_file import read_onnx
from recognition.packages import file_sha256
from recognition.weights import WeightsError, load_into
from tests.recognition.importer import faces, fed, held, loaded, take_in
from tests.recognition.onnx_files import as_bytes, node, shaken, small_arcface


class TestWhatComesIn:
    def test_it_is_a_model_version_of_its_own(self, bare_home: Path, arcface_file: Path) -> None:
        info = take_in(bare_home, arcface_file, licence=" bought from X ")
        assert (info.name, info.licence, info.dimension) == ("ours", "bought from X", 64)
        assert len(info.sha256) == 64
        assert info.sha256.startswith(info.version)
        assert load_imported(bare_home / "models", "ours")[1] == info

    def test_its_file_is_named_in_the_manifest_with_its_hashes(
        self, bare_home: Path, arcface_file: Path
    ) -> None:
        take_in(bare_home, arcface_file)
        manifest = json.loads((bare_home / "models" / "manifest.json").read_text())
        assert manifest["models"] == {"mobilefacenet": "as it was"}
        entry = manifest["imported"]["ours"]
        assert entry["file"] == "imported-ours.safetensors"
        assert entry["sha256"] == file_sha256(bare_home / "models" / entry["file"])
        assert entry["source_sha256"] == file_sha256(arcface_file)

    def test_twice_is_as_good_as_once(self, bare_home: Path, arcface_file: Path) -> None:
        first = take_in(bare_home, arcface_file)
        files = held(bare_home)
        assert take_in(bare_home, arcface_file) == first
        assert held(bare_home) == files

    def test_a_safetensors_iresnet_gives_what_the_torch_module_gives(
        self, bare_home: Path, tmp_path: Path
    ) -> None:
        torch.manual_seed(0)
        net = shaken(IResNet("iresnet18", 64))
        path = tmp_path / "backbone.safetensors"
        safetensors.torch.save_file(net.state_dict(), path)
        assert take_in(bare_home, path).dimension == 64
        expected = fed(net, (faces() - 127.5) / 127.5)
        torch.testing.assert_close(
            fed(loaded(bare_home), normalise(faces())), expected, rtol=1e-3, atol=1e-4
        )

    def test_a_safetensors_mobilefacenet_is_fed_as_ours_is(
        self, bare_home: Path, models_dir: Path
    ) -> None:
        net = MobileFaceNet()
        load_into(net, models_dir, "mobilefacenet")
        assert take_in(bare_home, models_dir / "mobilefacenet.safetensors").dimension == 192
        torch.testing.assert_close(embed(loaded(bare_home), faces()), embed(net, faces()))

    def test_half_precision_is_taken(
        self, bare_home: Path, tmp_path: Path, models_dir: Path
    ) -> None:
        state = safetensors.torch.load_file(models_dir / "mobilefacenet.safetensors")
        state = {name: tensor.half() for name, tensor in state.items()}
        path = tmp_path / "net.safetensors"
        safetensors.torch.save_file(state, path)
        take_in(bare_home, path)
        assert {p.dtype for p in loaded(bare_home).parameters()} == {torch.float32}

    def test_the_usual_values_go_in_unless_others_are_asked_for(
        self, bare_home: Path, arcface_file: Path
    ) -> None:
        take_in(bare_home, arcface_file)
        take_in(bare_home, arcface_file, name="other", channels="BGR", mean=127.0, scale=128.0)
        usual, other = loaded(bare_home), loaded(bare_home, "other")
        assert isinstance(usual, ImportedNet)
        inner = usual.net
        torch.testing.assert_close(
            fed(usual, normalise(faces())),
            fed(inner, (faces() - 127.5) / 127.5),
            atol=1e-4,
            rtol=1e-4,
        )
        torch.testing.assert_close(
            fed(other, normalise(faces())),
            fed(inner, (faces().flip(1) - 127) / 128),
            atol=1e-4,
            rtol=1e-4,
        )

    def test_a_file_that_normalises_by_itself_gets_plain_values(
        self, bare_home: Path, tmp_path: Path
    ) -> None:
        model = small_arcface()
        scale = {"mean": np.array(127.5, np.float32), "scale": np.array(1 / 128, np.float32)}
        for name, array in scale.items():
            model.graph.initializer.append(numpy_helper.from_array(array, name))
        model.graph.node[0].input[0] = "scaled"
        model.graph.node.insert(0, node("Mul", "less scale", "scaled"))
        model.graph.node.insert(0, node("Sub", "x mean", "less"))
        path = tmp_path / "own.onnx"
        path.write_bytes(as_bytes(model))
        take_in(bare_home, path)
        plain = tmp_path / "plain.onnx"
        plain.write_bytes(as_bytes(small_arcface()))
        take_in(bare_home, plain, name="plain", scale=128.0)
        torch.testing.assert_close(
            embed(loaded(bare_home), faces()),
            embed(loaded(bare_home, "plain"), faces()),
            atol=1e-5,
            rtol=1e-4,
        )

    def test_the_same_weights_fed_otherwise_are_another_model(
        self, bare_home: Path, arcface_file: Path
    ) -> None:
        first = take_in(bare_home, arcface_file)
        assert take_in(bare_home, arcface_file, name="bgr", channels="BGR").sha256 != first.sha256

    def test_weights_that_only_cost_time_become_zero_and_change_nothing(
        self, bare_home: Path, tmp_path: Path, arcface_file: Path
    ) -> None:
        take_in(bare_home, arcface_file)
        dusty = small_arcface()
        for tensor in dusty.graph.initializer:
            if tensor.name == "w1":
                array = numpy_helper.to_array(tensor).copy()
                array[2] = 1e-39
                tensor.CopyFrom(numpy_helper.from_array(array, "w1"))
        path = tmp_path / "dusty.onnx"
        path.write_bytes(as_bytes(dusty))
        take_in(bare_home, path, name="dusty")
        weights = [buffer for buffer in loaded(bare_home, "dusty").buffers() if buffer.ndim == 4]
        assert all(not ((w != 0) & (w.abs() < 1e-37)).any() for w in weights)
        inner = GraphNet(*read_onnx(as_bytes(dusty))[:2])
        values = (faces() - 127.5) / 127.5
        torch.testing.assert_close(
            fed(loaded(bare_home, "dusty"), normalise(faces())), fed(inner, values)
        )

    def test_a_face_alone_and_in_a_batch_has_the_same_embedding(
        self, bare_home: Path, arcface_file: Path
    ) -> None:
        take_in(bare_home, arcface_file)
        net = loaded(bare_home)
        together = embed(net, faces(5))
        alone = torch.cat([embed(net, face[None]) for face in faces(5)])
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(together.norm(dim=1), torch.ones(5))


class TestNames:
    @pytest.mark.parametrize(
        "name",
        ["", "../x", "a/b", "Ours", ".hidden", "a" * 41, "mobilefacenet", "fused", "mtcnn", "a\n"],
    )
    def test_one_that_is_ours_or_could_leave_the_folder_is_refused(
        self, bare_home: Path, arcface_file: Path, name: str
    ) -> None:
        with pytest.raises(WeightsError, match="cannot be the model's name"):
            take_in(bare_home, arcface_file, name=name)
        assert list(held(bare_home)) == ["manifest.json"]

    def test_another_model_does_not_take_the_place_of_one_that_is_there(
        self, bare_home: Path, arcface_file: Path
    ) -> None:
        take_in(bare_home, arcface_file)
        before = held(bare_home)
        arcface_file.write_bytes(as_bytes(small_arcface(seed=1)))
        with pytest.raises(WeightsError, match="forget-model ours"):
            take_in(bare_home, arcface_file)
        assert held(bare_home) == before

    def test_one_model_has_one_name(self, bare_home: Path, arcface_file: Path) -> None:
        take_in(bare_home, arcface_file)
        with pytest.raises(WeightsError, match="imported before, as ours"):
            take_in(bare_home, arcface_file, name="again")

    @pytest.mark.parametrize(
        ("wanted", "reason"),
        [
            ({"licence": " "}, "licence"),
            ({"licence": "x" * 201}, "licence"),
            ({"licence": "a\nb"}, "licence"),
            ({"version": "v" * 51}, "version"),
            ({"version": " "}, "version"),
            ({"channels": "RBG"}, "RGB or BGR"),
            ({"mean": float("nan")}, "mean"),
            ({"mean": -1.0}, "mean"),
            ({"scale": 0.0}, "scale"),
            ({"scale": float("inf")}, "scale"),
        ],
    )
    def test_what_makes_no_sense_is_refused(
        self, bare_home: Path, arcface_file: Path, wanted: dict[str, Any], reason: str
    ) -> None:
        with pytest.raises(WeightsError, match=reason):
            take_in(bare_home, arcface_file, **wanted)

    def test_the_web_process_knows_the_same_names(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert embedders.BUILT_IN == BUILT_IN
        for name in ("a" * 40, "our-arcface.r50_2"):
            assert NAME.fullmatch(name)
            monkeypatch.setenv("GATEHOUSE_EMBEDDER", name)
            assert read_environment().gatehouse_embedder == name


class TestFiles:
    def test_one_that_is_too_large_is_refused(
        self, bare_home: Path, arcface_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(importing, "LARGEST_FILE", 1 << 14)
        with pytest.raises(WeightsError, match="larger than"):
            take_in(bare_home, arcface_file)

    def test_one_that_is_none_is_refused(self, bare_home: Path, tmp_path: Path) -> None:
        for path in (tmp_path, tmp_path / "nowhere", Path("/dev/zero")):
            with pytest.raises(WeightsError, match="is no file"):
                take_in(bare_home, path)

    def test_without_models_the_error_names_the_command_that_gets_them(
        self, tmp_path: Path, arcface_file: Path
    ) -> None:
        with pytest.raises(WeightsError, match="fetch-models"):
            take_in(tmp_path / "nowhere", arcface_file)
        assert not (tmp_path / "nowhere").exists()

    def test_a_damaged_manifest_is_not_written_over(
        self, bare_home: Path, arcface_file: Path
    ) -> None:
        (bare_home / "models" / "manifest.json").write_text("{")
        with pytest.raises(WeightsError, match="fetch-models"):
            take_in(bare_home, arcface_file)
        assert held(bare_home) == {"manifest.json": b"{"}

    def test_what_was_changed_since_is_refused(self, bare_home: Path, arcface_file: Path) -> None:
        take_in(bare_home, arcface_file)
        path = weights_file(bare_home / "models", "ours")
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=r"was changed.*forget-model ours"):
            loaded(bare_home)
        path.unlink()
        with pytest.raises(WeightsError, match="cannot be read"):
            loaded(bare_home)

    def test_an_unknown_one_is_refused_with_those_that_are_there(
        self, bare_home: Path, arcface_file: Path
    ) -> None:
        take_in(bare_home, arcface_file)
        with pytest.raises(WeightsError, match=r"mobilefacenet, fused, ours.*import-model"):
            loaded(bare_home, "other")

    def test_they_outlive_a_new_set_of_models(
        self, bare_home: Path, arcface_file: Path, tmp_path: Path
    ) -> None:
        take_in(bare_home, arcface_file)
        calibration_file(bare_home / "models", "ours").write_text("{}")
        fresh = tmp_path / "fresh"
        fresh.mkdir()
        (fresh / "manifest.json").write_text('{"format": 1, "models": {"new": 1}}')
        keep_imported(bare_home / "models", fresh)
        assert {path.name for path in fresh.iterdir()} == held(bare_home).keys()
        assert json.loads((fresh / "manifest.json").read_text())["models"] == {"new": 1}
        assert load_imported(fresh, "ours")


class TestCommands:
    @pytest.fixture(autouse=True)
    def at_home(self, bare_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GATEHOUSE_HOME", str(bare_home))

    def test_import_says_what_to_do_next_and_forget_undoes_it(
        self, bare_home: Path, arcface_file: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = held(bare_home)
        arguments = ["--name", "ours", "--licence", "own", "--version", "3", str(arcface_file)]
        assert main(["import-model", *arguments]) == 0
        output = capsys.readouterr()
        assert output.out.strip() == str(bare_home / "models" / "imported-ours.safetensors")
        assert "ours 3: 64 numbers" in output.err
        assert "evaluate calibrate --embedder ours" in output.err
        calibration_file(bare_home / "models", "ours").write_text("{}")
        assert main(["forget-model", "ours"]) == 0
        assert entries(bare_home / "models") == {}
        assert held(bare_home).keys() == before.keys()
        assert main(["forget-model", "ours"]) == 1
        assert "imported are: none" in capsys.readouterr().err

    def test_a_file_that_is_refused_is_an_error_without_a_traceback(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "net.pth"
        path.write_bytes(pickle.dumps({}))
        assert main(["import-model", "--name", "ours", "--licence", "own", str(path)]) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert "Traceback" not in error
