"""The peers' program: what it answers, and the suppression that stands in for torchvision's."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
import torch
from torch import Tensor

from recognition.bench.peer_program import Boxes, Pixels, Server, batched_nms


class Corners:
    """Finds a face wherever the first pixel is white."""

    packages: tuple[str, ...] = ("numpy",)

    def chain(self, jpeg: bytes) -> int:
        return len(jpeg)

    def detect(self, pixels: Pixels) -> Boxes:
        return [[0, 0, 1, 2]] if pixels[0, 0].min() == 255 else []


def keeping(pixels: Pixels, jpeg: bytes | None) -> dict[str, object]:
    return {
        "do": "keep",
        "key": "k",
        "shape": pixels.shape[:2],
        "pixels": base64.b64encode(pixels.tobytes()).decode(),
        "jpeg": base64.b64encode(jpeg).decode() if jpeg else None,
    }


def test_a_kept_image_is_used_for_both_tasks() -> None:
    server = Server(Corners())
    pixels = np.zeros((2, 3, 3), dtype=np.uint8)
    pixels[0, 0] = 255
    assert server.answer(keeping(pixels, b"four")) == {}
    found = server.answer({"do": "detect", "key": "k"})
    assert (found["faces"], found["boxes"]) == (1, [[0, 0, 1, 2]])
    whole = server.answer({"do": "chain", "key": "k"})
    assert (whole["faces"], whole["boxes"]) == (4, [])
    assert min(found["ms"], found["cpu_ms"], whole["ms"], whole["cpu_ms"]) >= 0
    json.dumps([found, whole])


def test_an_image_of_the_same_name_takes_the_place_of_the_first() -> None:
    server = Server(Corners())
    server.answer(keeping(np.full((2, 3, 3), 255, dtype=np.uint8), None))
    server.answer(keeping(np.zeros((4, 1, 3), dtype=np.uint8), None))
    assert server.answer({"do": "detect", "key": "k"})["boxes"] == []


def naive(boxes: Tensor, scores: Tensor, groups: Tensor, threshold: float) -> list[int]:
    kept: list[int] = []
    for index in scores.argsort(descending=True, stable=True).tolist():
        overlaps = [
            iou(boxes[index].tolist(), boxes[other].tolist())
            for other in kept
            if groups[other] == groups[index]
        ]
        if all(overlap <= threshold for overlap in overlaps):
            kept.append(index)
    return kept


def iou(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return shared / (sum(areas) - shared)


@pytest.mark.parametrize("threshold", [0.5, 0.7])
@pytest.mark.parametrize("groups", [1, 3])
def test_the_suppression_keeps_what_the_greedy_rule_keeps(threshold: float, groups: int) -> None:
    draw = torch.Generator().manual_seed(groups)
    for count in (1, 2, 40, 300):
        corners = torch.rand((count, 2), generator=draw) * 60 - 5
        sides = torch.rand((count, 2), generator=draw) * 40 + 4
        boxes = torch.cat([corners, corners + sides], 1)
        scores = torch.rand(count, generator=draw)
        group = torch.randint(groups, (count,), generator=draw)
        kept = batched_nms(boxes, scores, group, threshold)
        assert kept.dtype == torch.int64
        assert kept.tolist() == naive(boxes, scores, group, threshold)


def test_windows_that_overlap_by_exactly_the_threshold_are_both_kept() -> None:
    boxes = torch.tensor([[0, 0, 12, 12], [0, 4, 12, 16], [0, 0, 12, 12.5]])
    kept = batched_nms(boxes, torch.tensor([0.9, 0.8, 0.7]), torch.zeros(3).long(), 0.5)
    assert kept.tolist() == [0, 1]


def test_nothing_is_left_of_nothing() -> None:
    kept = batched_nms(torch.zeros((0, 4)), torch.zeros(0), torch.zeros(0), 0.5)
    assert kept.shape == (0,)
    assert kept.dtype == torch.int64


def test_requests_are_answered_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from recognition.bench import peer_program

    monkeypatch.setitem(peer_program.PEERS, "corners", Corners)
    pixels = np.full((1, 1, 3), 255, dtype=np.uint8)
    requests = [keeping(pixels, None), {"do": "detect", "key": "k"}]
    answers = io.StringIO()
    lines = io.StringIO("".join(json.dumps(request) + "\n" for request in requests))
    peer_program.serve("corners", lines, answers)
    hello, kept, found = map(json.loads, answers.getvalue().splitlines())
    assert hello == {"peer": "corners", "versions": {"numpy": np.__version__}}
    assert kept == {}
    assert found["faces"] == 1
