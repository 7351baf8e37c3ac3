"""The port of RetinaFace computes what the published file computes."""

from __future__ import annotations

import ast

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from recognition.conversion import ConversionError, retinaface_state
from recognition.retinaface import ANCHORS, MEAN, STRIDES, RetinaFace, anchors


@pytest.fixture(scope="module")
def net(retinaface_files: dict[str, bytes]) -> RetinaFace:
    net = RetinaFace().eval()
    net.load_state_dict(retinaface_state(retinaface_files))
    return net


@pytest.mark.parametrize("size", [(64, 96), (75, 50)])
def test_it_agrees_with_the_published_file(
    net: RetinaFace, retinaface_files: dict[str, bytes], size: tuple[int, int]
) -> None:
    (statement,) = ast.parse(retinaface_files["weights.py"]).body
    assert isinstance(statement, ast.Assign)
    published = ReferenceEvaluator(onnx.load_from_string(ast.literal_eval(statement.value)))
    images = np.random.default_rng(0).uniform(0, 255, (2, 3, *size)).astype(np.float32)
    less_mean = images - np.array(MEAN, np.float32)[:, None, None]
    outputs = published.run(None, {"input": less_mean[:, ::-1]})  # it sees BGR
    boxes, scores, points = (np.asarray(output, np.float32) for output in outputs)
    with torch.inference_mode():
        margins, our_boxes, our_points = net(torch.from_numpy(images))
    np.testing.assert_allclose(margins.sigmoid(), scores[..., 1], atol=1e-5)
    np.testing.assert_allclose(our_boxes, boxes, atol=1e-3)
    np.testing.assert_allclose(our_points, points, atol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (75, 50), (240, 320)])
def test_there_is_an_anchor_for_each_output(net: RetinaFace, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        margins, _, _ = net(torch.zeros(1, 3, *size))
    assert margins.shape == (1, len(anchors(*size)))


def test_anchors_lie_in_the_middle_of_their_cells_finest_first() -> None:
    places = anchors(16, 24)
    assert places[0].tolist() == [4, 4, ANCHORS[0][0]]
    assert places[1].tolist() == [4, 4, ANCHORS[0][1]]
    assert places[2].tolist() == [12, 4, ANCHORS[0][0]]
    assert places[-1].tolist() == [16, 16, ANCHORS[-1][1]]
    cells = sum(-(-16 // stride) * -(-24 // stride) for stride in STRIDES)
    assert len(places) == 2 * cells


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"WEIGHTS = 1",
        b"WEIGHTS = b'no onnx'",
        b"WEIGHTS = open('/etc/passwd').read()",
        b"this is no Python",
        b"OTHER = b''",
        b"WEIGHTS = b''",
    ],
)
def test_a_file_that_is_not_the_network_is_refused_and_never_run(content: bytes) -> None:
    with pytest.raises(ConversionError, match="retinaface"):
        retinaface_state({"weights.py": content})
