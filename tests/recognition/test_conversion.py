"""Only the models themselves are converted; anything else is refused, not half read."""

from __future__ import annotations

import pytest

from recognition.conversion import CONVERTERS, ConversionError
from recognition.tflite_graph import read_layers
from recognition.weights import EXTRAS, MODELS


def test_every_published_model_has_a_converter(
    original_files: dict[str, bytes],
    resnet29_files: dict[str, bytes],
    retinaface_files: dict[str, bytes],
) -> None:
    assert set(CONVERTERS) == {name for models in (MODELS, *EXTRAS.values()) for name in models}
    for name in MODELS:
        state = CONVERTERS[name]({**original_files, **resnet29_files, **retinaface_files})
        assert all(value.isfinite().all() for value in state.values())
        assert all(value.abs().sum() > 0 for key, value in state.items() if "weight" in key), name


@pytest.mark.parametrize(
    ("name", "file", "other"),
    [
        ("mobilefacenet", "MobileFaceNet.tflite", "onet.tflite"),
        ("mtcnn", "rnet.tflite", "onet.tflite"),
        ("mtcnn", "onet.tflite", "rnet.tflite"),
        ("antispoofing", "FaceAntiSpoofing.tflite", "pnet.tflite"),
    ],
)
def test_another_model_in_its_place_is_refused(
    original_files: dict[str, bytes], name: str, file: str, other: str
) -> None:
    with pytest.raises(ConversionError):
        CONVERTERS[name]({**original_files, file: original_files[other]})


def test_slopes_and_offsets_are_found(original_files: dict[str, bytes]) -> None:
    layers = read_layers(original_files["MobileFaceNet.tflite"])
    assert sum(layer.multiplier is not None for layer in layers) == 33
    tree = read_layers(original_files["FaceAntiSpoofing.tflite"])
    assert sum(layer.offset is not None for layer in tree) == 7
