"""ResNet-29 gives what the published weights give, and nearly what dlib itself gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recognition.conversion import ConversionError, resnet29_state
from recognition.resnet29 import (
    CHIP_SIZE,
    DIMENSION,
    TEMPLATE,
    ResNet29,
    chips,
    describe,
    normalise,
)
from recognition.sampling import ImageSet
from recognition.types import Pixels
from tests.recognition import reference_resnet29

# What dlib 20.0.1 computes for `pattern()` with its own file of the weights, in float32.
_DLIB = """
    -0.0550 0.0885 0.0245 -0.0186 -0.0713 -0.0486 -0.0697 0.0013 0.1124 -0.0226
    0.2168 -0.0575 -0.2473 -0.0541 0.0049 0.1079 -0.1498 -0.0344 -0.1488 -0.1008
    0.0232 -0.0051 -0.0348 0.0042 -0.1233 -0.3139 -0.0658 -0.1462 0.0758 -0.1430
    0.0028 0.0536 -0.0883 -0.0498 0.0049 0.0343 -0.0090 -0.0495 0.1389 -0.0107
    -0.1629 -0.0487 -0.0035 0.2636 0.1846 0.0650 0.0548 -0.0690 0.0687 -0.2664
    -0.0005 0.1305 0.0325 0.0922 0.1161 -0.1505 0.0412 0.1007 -0.1801 0.0222
    0.0401 -0.1036 -0.0621 -0.0899 0.2176 0.0691 -0.0772 -0.1035 0.1879 -0.1478
    -0.0240 0.0863 -0.0728 -0.1828 -0.2545 0.0950 0.4043 0.1886 -0.1401 0.0378
    -0.0682 -0.0676 0.0858 0.0200 -0.0833 -0.0375 -0.0594 0.0713 0.1781 -0.0955
    0.0789 0.1344 -0.0211 0.0008 -0.0069 -0.0034 -0.0995 0.0585 -0.0495 0.0250
    0.1675 -0.1438 0.0566 0.0603 -0.1601 0.0983 0.0120 -0.0794 0.0361 -0.0044
    -0.0512 -0.0267 0.2367 -0.2518 0.2165 0.2305 0.0528 0.1265 0.0259 0.1061
    -0.0234 -0.0534 -0.1649 -0.0473 0.0291 -0.0166 -0.0639 -0.0163
"""
DLIB = np.array(_DLIB.split(), dtype=np.float64)


def pattern() -> Pixels:
    """A chip that is easily made anywhere."""
    y, x = np.mgrid[0:CHIP_SIZE, 0:CHIP_SIZE]
    planes = [(x * 3 + y) % 256, (x * y // 40) % 256, (255 - y - x // 2) % 256]
    return np.stack(planes, -1).astype(np.uint8)


def as_batch(*images: Pixels) -> torch.Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))


@pytest.fixture(scope="module")
def net(resnet29_files: dict[str, bytes]) -> ResNet29:
    net = ResNet29()
    net.load_state_dict(resnet29_state(resnet29_files))
    return net.eval()


@pytest.fixture(scope="module")
def examples(portraits: dict[str, Pixels]) -> list[Pixels]:
    """Two chips that are not aligned, which does not matter here, and the pattern."""
    views = [image[100:400:2, 120:420:2] for image in portraits.values()][:2]
    return [pattern(), *(np.ascontiguousarray(view) for view in views)]


def test_the_port_gives_what_the_published_weights_give_layer_by_layer(
    net: ResNet29, resnet29_files: dict[str, bytes], examples: list[Pixels]
) -> None:
    tensors = reference_resnet29.weights(resnet29_files)
    with torch.inference_mode():
        ours = net(normalise(as_batch(*examples))).numpy()
    for chip, descriptor in zip(examples, ours, strict=True):
        expected = reference_resnet29.descriptor(tensors, chip)
        np.testing.assert_allclose(descriptor, expected, atol=1e-4)


def test_the_published_weights_of_8_bits_give_nearly_what_dlibs_own_do(net: ResNet29) -> None:
    with torch.inference_mode():
        (ours,) = net(normalise(as_batch(pattern()))).numpy()
    assert cosine(ours, DLIB) > 0.998
    assert np.linalg.norm(ours) == pytest.approx(np.linalg.norm(DLIB), rel=0.01)


def test_descriptors_have_length_1_and_do_not_depend_on_their_batch(
    net: ResNet29, examples: list[Pixels]
) -> None:
    with torch.inference_mode():
        together = describe(net, as_batch(*examples))
        alone = torch.cat([describe(net, as_batch(example)) for example in examples])
    assert together.shape == (len(examples), DIMENSION)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(len(examples)))
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_no_faces_give_no_descriptors(net: ResNet29) -> None:
    assert describe(net, torch.zeros(0, 3, CHIP_SIZE, CHIP_SIZE)).shape == (0, DIMENSION)


def test_a_face_whose_points_lie_on_the_template_is_its_own_chip() -> None:
    image = pattern()
    points = torch.tensor([TEMPLATE])
    frame = torch.zeros(1, dtype=torch.int64)
    (chip,) = chips(ImageSet([image], torch.device("cpu")), frame, points)
    np.testing.assert_allclose(chip.permute(1, 2, 0), image, atol=0.02)


def test_a_face_that_is_turned_and_moved_comes_out_upright() -> None:
    image = pattern()
    quarter_turn = np.ascontiguousarray(np.rot90(image, k=-1))  # clockwise: (x, y) -> (149 - y, x)
    turned = torch.tensor([[(149 - y, x) for x, y in TEMPLATE]])
    frame = torch.zeros(1, dtype=torch.int64)
    (chip,) = chips(ImageSet([quarter_turn], torch.device("cpu")), frame, turned)
    np.testing.assert_allclose(chip.permute(1, 2, 0), image, atol=0.05)


@pytest.mark.parametrize("damage", [b"", b"[]", b"[{}]", b"not json"])
def test_another_manifest_is_refused(resnet29_files: dict[str, bytes], damage: bytes) -> None:
    name = "face_recognition_model-weights_manifest.json"
    with pytest.raises(ConversionError, match="face_recognition_model"):
        resnet29_state({**resnet29_files, name: damage})


@pytest.mark.parametrize("change", [-1, 1])
def test_weights_with_too_few_or_too_many_bytes_are_refused(
    resnet29_files: dict[str, bytes], change: int
) -> None:
    content = resnet29_files["face_recognition_model.bin"]
    changed = content[:-1] if change < 0 else content + b"x"
    with pytest.raises(ConversionError, match="byte"):
        resnet29_state({**resnet29_files, "face_recognition_model.bin": changed})


@pytest.mark.parametrize("other", ["conv64_9/conv1/conv/filters", "fc2"])
def test_tensors_of_other_names_are_refused(resnet29_files: dict[str, bytes], other: str) -> None:
    name = "face_recognition_model-weights_manifest.json"
    changed = resnet29_files[name].replace(b'"fc"', f'"{other}"'.encode())
    with pytest.raises(ConversionError, match="no tensor"):
        resnet29_state({**resnet29_files, name: changed})
