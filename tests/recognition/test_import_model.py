"""A company's own embedder is taken in whole, as what it is, or not at all."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from onnx import ModelProto, numpy_helper
from torch import Tensor

from recognition import importing
from recognition.commands import main
from recognition.embed import MobileFaceNet, embed, normalise
from recognition.imported import (
    ImportedNet,
    calibration_file,
    entries,
    keep_imported,
    load_imported,
    weights_file,
)
from recognition.importing import Wanted, import_model
from recognition.iresnet import IResNet
from recognition.packages import file_sha256
from recognition.weights import WeightsError, load_into
from tests.recognition.onnx_files import as_bytes, node, onnx_model, shaken, small_arcface

EMPTY_MANIFEST = '{"format": 1, "models": {"mobilefacenet": "as it was"}}'


def quiet(message: str) -> None:
    """Progress is for people."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An installation with models, as far as an import looks at them."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "manifest.json").write_text(EMPTY_MANIFEST)
    return tmp_path


@pytest.fixture
def onnx_path(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    path.write_bytes(as_bytes(small_arcface()))
    return path


def faces(count: int = 3) -> Tensor:
    random = torch.Generator().manual_seed(1)
    return torch.rand((count, 3, 112, 112), generator=random) * 255


def take_in(home: Path, path: Path, **wanted: Any) -> Any:
    return import_model(home, path, Wanted(**{"name": "ours", "licence": "own", **wanted}), quiet)


def held(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (home / "models").iterdir()}


def loaded(home: Path, name: str = "ours") -> torch.nn.Module:
    return load_imported(home / "models", name)[0]


@torch.inference_mode()
def fed(net: torch.nn.Module, values: Tensor) -> Tensor:
    """What the network gives for values as it wants them."""
    output: Tensor = net.eval()(values)
    return output


class TestWhatComesIn:
    def test_it_is_a_model_version_of_its_own(self, home: Path, onnx_path: Path) -> None:
        info = take_in(home, onnx_path, licence=" bought from X ")
        assert (info.name, info.licence, info.dimension) == ("ours", "bought from X", 64)
        assert len(info.sha256) == 64
        assert info.sha256.startswith(info.version)
        assert load_imported(home / "models", "ours")[1] == info

    def test_its_file_is_named_in_the_manifest_with_its_hashes(
        self, home: Path, onnx_path: Path
    ) -> None:
        take_in(home, onnx_path)
        manifest = json.loads((home / "models" / "manifest.json").read_text())
        assert manifest["models"] == {"mobilefacenet": "as it was"}
        entry = manifest["imported"]["ours"]
        assert entry["file"] == "imported-ours.safetensors"
        assert entry["sha256"] == file_sha256(home / "models" / entry["file"])
        assert entry["source_sha256"] == file_sha256(onnx_path)

    def test_twice_is_as_good_as_once(self, home: Path, onnx_path: Path) -> None:
        first = take_in(home, onnx_path)
        files = held(home)
        assert take_in(home, onnx_path) == first
        assert held(home) == files

    def test_a_safetensors_iresnet_gives_what_the_torch_module_gives(
        self, home: Path, tmp_path: Path
    ) -> None:
        torch.manual_seed(0)
        net = shaken(IResNet("iresnet18", 64))
        path = tmp_path / "backbone.safetensors"
        safetensors.torch.save_file(net.state_dict(), path)
        assert take_in(home, path).dimension == 64
        expected = fed(net, (faces() - 127.5) / 127.5)
        torch.testing.assert_close(
            fed(loaded(home), normalise(faces())), expected, rtol=1e-3, atol=1e-4
        )

    def test_a_safetensors_mobilefacenet_is_fed_as_ours_is(
        self, home: Path, models_dir: Path
    ) -> None:
        net = MobileFaceNet()
        load_into(net, models_dir, "mobilefacenet")
        assert take_in(home, models_dir / "mobilefacenet.safetensors").dimension == 192
        torch.testing.assert_close(embed(loaded(home), faces()), embed(net, faces()))

    def test_half_precision_is_taken(self, home: Path, tmp_path: Path, models_dir: Path) -> None:
        state = safetensors.torch.load_file(models_dir / "mobilefacenet.safetensors")
        state = {name: tensor.half() for name, tensor in state.items()}
        path = tmp_path / "net.safetensors"
        safetensors.torch.save_file(state, path)
        take_in(home, path)
        assert {p.dtype for p in loaded(home).parameters()} == {torch.float32}

    def test_the_usual_values_go_in_unless_others_are_asked_for(
        self, home: Path, onnx_path: Path
    ) -> None:
        take_in(home, onnx_path)
        take_in(home, onnx_path, name="other", channels="BGR", mean=127.0, scale=128.0)
        usual, other = loaded(home), loaded(home, "other")
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
        self, home: Path, tmp_path: Path
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
        take_in(home, path)
        plain = tmp_path / "plain.onnx"
        plain.write_bytes(as_bytes(small_arcface()))
        take_in(home, plain, name="plain", scale=128.0)
        torch.testing.assert_close(
            embed(loaded(home), faces()),
            embed(loaded(home, "plain"), faces()),
            atol=1e-5,
            rtol=1e-4,
        )

    def test_the_same_weights_fed_otherwise_are_another_model(
        self, home: Path, onnx_path: Path
    ) -> None:
        first = take_in(home, onnx_path)
        assert take_in(home, onnx_path, name="bgr", channels="BGR").sha256 != first.sha256

    def test_a_face_alone_and_in_a_batch_has_the_same_embedding(
        self, home: Path, onnx_path: Path
    ) -> None:
        take_in(home, onnx_path)
        net = loaded(home)
        together = embed(net, faces(5))
        alone = torch.cat([embed(net, face[None]) for face in faces(5)])
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(together.norm(dim=1), torch.ones(5))


def changed(model: ModelProto, name: str, value: float) -> ModelProto:
    for tensor in model.graph.initializer:
        if tensor.name == name:
            array = numpy_helper.to_array(tensor).copy()
            array.flat[0 if np.isnan(value) else slice(None)] = value
            tensor.CopyFrom(numpy_helper.from_array(array, name))
    return model


def mixing() -> ModelProto:
    """Takes from each face what all have in common: a batch decides what one face gives."""
    model = small_arcface(batch="N")
    model.graph.node[-1].output[0] = "own"
    model.graph.node.extend(
        [
            node("ReduceMean", "own", "all", axes=[0], keepdims=1),
            node("Sub", "own all", "apart"),
            node("Sigmoid", "apart", "out"),
        ]
    )
    return model


def state_file(**changes: Tensor | None) -> bytes:
    torch.manual_seed(0)
    state = {**MobileFaceNet().state_dict(), **changes}
    return safetensors.torch.save({name: t for name, t in state.items() if t is not None})


def header(value: str, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(value) if length is None else length) + value.encode()


HUGE = '{"w":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}'
LAST = list(MobileFaceNet().state_dict())[-1]

REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "an empty file": (lambda: b"", "no ONNX file"),
    "garbage": (lambda: b"garbage" * 100, "no ONNX file"),
    "a cut ONNX file": (lambda: as_bytes(small_arcface())[:-100], "cut off or damaged"),
    "a pickle": (lambda: pickle.dumps({"w": 1}), "safetensors.torch.save_file"),
    "a zipped pickle": (lambda: b"PK\x03\x04" + b"\0" * 100, "is a pickle"),
    "weights that are no numbers": (
        lambda: as_bytes(changed(small_arcface(), "w1", float("nan"))),
        "no numbers",
    ),
    "infinite weights": (
        lambda: as_bytes(changed(small_arcface(), "w1", float("inf"))),
        "no numbers",
    ),
    "a variance below zero": (
        lambda: as_bytes(changed(small_arcface(), "c_variance", -1.0)),
        "zero or no numbers",
    ),
    "weights that are all zero": (
        lambda: as_bytes(changed(small_arcface(), "fc", 0.0)),
        "the same embedding",
    ),
    "a dimension of 63": (lambda: as_bytes(small_arcface(dimension=63)), "63 numbers"),
    "a classifier of 1025": (lambda: as_bytes(small_arcface(dimension=1025)), "classifier"),
    "faces that depend on each other": (
        lambda: as_bytes(mixing()),
        "depends on the others|zero|same",
    ),
    "a picture with its channels": (
        lambda: as_bytes(onnx_model([node("Flatten", "x", "out")], {})),
        "37632 numbers",
    ),
    "an iresnet of another depth": (
        lambda: safetensors.torch.save({"conv1.weight": torch.zeros(1)}),
        "no network that is known",
    ),
    "a missing tensor": (lambda: state_file(**{LAST: None}), "no network that is known"),
    "a tensor of another shape": (
        lambda: state_file(**{"layers.0.weight": torch.zeros(9, 9, 9, 9)}),
        "do not fit mobilefacenet",
    ),
    "a tensor of no numbers": (
        lambda: state_file(**{"layers.0.bias": torch.full((64,), float("nan"))}),
        "no numbers",
    ),
    "quantised tensors": (
        lambda: state_file(**{"layers.0.bias": torch.zeros(64, dtype=torch.int8)}),
        "quantised",
    ),
    "a safetensors header beyond the file": (lambda: header(HUGE), "no safetensors file"),
    "a safetensors header that is no JSON": (lambda: header("{nonsense"), "no safetensors file"),
    "a safetensors header of 2^60 bytes": (lambda: header("{}", 2**60), "no ONNX file"),
    "a cut safetensors file": (lambda: state_file()[:-5], "no safetensors file"),
    "a safetensors file without anything": (lambda: safetensors.torch.save({}), "no network"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_says_why_and_leaves_everything_as_it_was(
    home: Path, tmp_path: Path, onnx_path: Path, case: str
) -> None:
    take_in(home, onnx_path, name="earlier")
    before = held(home)
    make, reason = REFUSED[case]
    path = tmp_path / "hostile"
    path.write_bytes(make())
    with pytest.raises(WeightsError, match=reason):
        take_in(home, path)
    assert held(home) == before
    assert loaded(home, "earlier")


def test_an_iresnet_with_a_wrong_layer_is_refused(home: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = IResNet("iresnet18", 64).state_dict()
    state["layer3.1.conv2.weight"] = torch.zeros(1, 1, 3, 3)
    path = tmp_path / "net.safetensors"
    safetensors.torch.save_file(state, path)
    with pytest.raises(WeightsError, match="do not fit iresnet18"):
        take_in(home, path)
    assert list(held(home)) == ["manifest.json"]


class TestNames:
    @pytest.mark.parametrize(
        "name",
        ["", "../x", "a/b", "Ours", ".hidden", "a" * 41, "mobilefacenet", "fused", "mtcnn", "a\n"],
    )
    def test_one_that_is_ours_or_could_leave_the_folder_is_refused(
        self, home: Path, onnx_path: Path, name: str
    ) -> None:
        with pytest.raises(WeightsError, match="cannot be the model's name"):
            take_in(home, onnx_path, name=name)
        assert list(held(home)) == ["manifest.json"]

    def test_another_model_does_not_take_the_place_of_one_that_is_there(
        self, home: Path, onnx_path: Path
    ) -> None:
        take_in(home, onnx_path)
        before = held(home)
        onnx_path.write_bytes(as_bytes(small_arcface(seed=1)))
        with pytest.raises(WeightsError, match="forget-model ours"):
            take_in(home, onnx_path)
        assert held(home) == before

    def test_one_model_has_one_name(self, home: Path, onnx_path: Path) -> None:
        take_in(home, onnx_path)
        with pytest.raises(WeightsError, match="imported before, as ours"):
            take_in(home, onnx_path, name="again")

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
        self, home: Path, onnx_path: Path, wanted: dict[str, Any], reason: str
    ) -> None:
        with pytest.raises(WeightsError, match=reason):
            take_in(home, onnx_path, **wanted)


class TestFiles:
    def test_one_that_is_too_large_is_refused(
        self, home: Path, onnx_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(importing, "LARGEST_FILE", 1 << 14)
        with pytest.raises(WeightsError, match="larger than"):
            take_in(home, onnx_path)

    def test_one_that_is_none_is_refused(self, home: Path, tmp_path: Path) -> None:
        for path in (tmp_path, tmp_path / "nowhere", Path("/dev/zero")):
            with pytest.raises(WeightsError, match="is no file"):
                take_in(home, path)

    def test_without_models_the_error_names_the_command_that_gets_them(
        self, tmp_path: Path, onnx_path: Path
    ) -> None:
        with pytest.raises(WeightsError, match="fetch-models"):
            take_in(tmp_path / "nowhere", onnx_path)
        assert not (tmp_path / "nowhere").exists()

    def test_a_damaged_manifest_is_not_written_over(self, home: Path, onnx_path: Path) -> None:
        (home / "models" / "manifest.json").write_text("{")
        with pytest.raises(WeightsError, match="fetch-models"):
            take_in(home, onnx_path)
        assert held(home) == {"manifest.json": b"{"}

    def test_what_was_changed_since_is_refused(self, home: Path, onnx_path: Path) -> None:
        take_in(home, onnx_path)
        path = weights_file(home / "models", "ours")
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=r"was changed.*forget-model ours"):
            loaded(home)
        path.unlink()
        with pytest.raises(WeightsError, match="cannot be read"):
            loaded(home)

    def test_an_unknown_one_is_refused_with_those_that_are_there(
        self, home: Path, onnx_path: Path
    ) -> None:
        take_in(home, onnx_path)
        with pytest.raises(WeightsError, match=r"mobilefacenet, fused, ours.*import-model"):
            loaded(home, "other")

    def test_they_outlive_a_new_set_of_models(
        self, home: Path, onnx_path: Path, tmp_path: Path
    ) -> None:
        take_in(home, onnx_path)
        calibration_file(home / "models", "ours").write_text("{}")
        fresh = tmp_path / "fresh"
        fresh.mkdir()
        (fresh / "manifest.json").write_text('{"format": 1, "models": {"new": 1}}')
        keep_imported(home / "models", fresh)
        assert {path.name: path.read_bytes() for path in fresh.iterdir()}.keys() == held(
            home
        ).keys()
        assert json.loads((fresh / "manifest.json").read_text())["models"] == {"new": 1}
        assert load_imported(fresh, "ours")


class TestCommands:
    @pytest.fixture(autouse=True)
    def at_home(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GATEHOUSE_HOME", str(home))

    def test_import_says_what_to_do_next_and_forget_undoes_it(
        self, home: Path, onnx_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = held(home)
        arguments = ["--name", "ours", "--licence", "own", "--version", "3", str(onnx_path)]
        assert main(["import-model", *arguments]) == 0
        output = capsys.readouterr()
        assert output.out.strip() == str(home / "models" / "imported-ours.safetensors")
        assert "ours 3: 64 numbers" in output.err
        assert "evaluate calibrate --embedder ours" in output.err
        calibration_file(home / "models", "ours").write_text("{}")
        assert main(["forget-model", "ours"]) == 0
        assert entries(home / "models") == {}
        assert held(home).keys() == before.keys()
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
