"""Networks run by OpenVINO give what torch gives, in whichever batch and however often."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from recognition import compiled
from recognition.compiled import CompiledNet
from recognition.mtcnn import OutputNet, ProposalNet, RefineNet
from recognition.pipeline import Pipeline
from recognition.types import Pixels

pytestmark = pytest.mark.skipif(
    not compiled.available(), reason="OpenVINO has no package for this processor"
)


@pytest.fixture(scope="module")
def in_torch(models_dir: Path) -> Pipeline:
    return Pipeline.load(models_dir, device="cpu", runtime="torch", precision="float32")


@pytest.fixture(scope="module")
def in_openvino(models_dir: Path) -> Pipeline:
    return Pipeline.load(models_dir, device="cpu", runtime="openvino", precision="float32")


def images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(5)) * 2 - 1


@pytest.mark.parametrize("step", [1, 2, 3])
def test_both_runtimes_find_the_same_faces(
    in_torch: Pipeline, in_openvino: Pipeline, portraits: dict[str, Pixels], step: int
) -> None:
    for portrait in portraits.values():
        image = np.ascontiguousarray(portrait[::step, ::step])
        expected, found = (one.analyse_pixels([image])[0] for one in (in_torch, in_openvino))
        assert len(expected.faces) == len(found.faces)
        for face, other in zip(expected.faces, found.faces, strict=True):
            assert np.abs(face.box - other.box).max() < 0.5
            assert np.abs(face.points - other.points).max() < 0.5
            assert face.score == pytest.approx(other.score, abs=1e-4)
            assert face.embedding is not None
            assert other.embedding is not None
            assert face.embedding @ other.embedding >= 0.9999


@pytest.mark.parametrize(
    ("make", "side"), [(ProposalNet, 31), (RefineNet, 24), (OutputNet, 48)], ids=lambda v: str(v)
)
@pytest.mark.parametrize("count", [1, 3, 4, 11])
def test_every_output_of_every_image_is_torchs(
    make: Callable[[], torch.nn.Module], side: int, count: int
) -> None:
    torch.manual_seed(1)
    net = make().eval()
    fast = CompiledNet(net, torch.zeros(2, 3, side, side), largest_batch=4, own_programs=1)
    batch = images(count, 3, side, side)
    with torch.inference_mode():
        expected, found = net(batch), fast(batch)
    assert len(expected) == len(found)
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_a_size_that_recurs_gives_the_same_bits_as_at_first() -> None:
    net = ProposalNet().eval()
    fast = CompiledNet(
        net, torch.zeros(1, 3, 40, 40), largest_batch=1, any_size=True, own_programs=2
    )
    sizes = [(40, 52), (33, 47), (61, 39)]  # one more than has room
    batches = [images(1, 3, *size) for size in sizes]
    with torch.inference_mode():
        first = [fast(batch)[0] for batch in batches]
        for _ in range(4):
            for batch, expected in zip(batches, first, strict=True):
                assert torch.equal(fast(batch)[0], expected)


def test_a_result_is_not_overwritten_by_the_next_run() -> None:
    fast = CompiledNet(ProposalNet().eval(), images(1, 3, 24, 24), largest_batch=1)
    with torch.inference_mode():
        result = fast(images(1, 3, 24, 24))[1]
        before = result.clone()
        fast(torch.zeros(1, 3, 24, 24))
    assert torch.equal(result, before)


def test_openvino_on_another_device_is_refused(models_dir: Path) -> None:
    with pytest.raises(ValueError, match="CPU only"):
        Pipeline.load(models_dir, device="meta", runtime="openvino")


def test_its_reports_to_the_maker_are_never_even_imported() -> None:
    """OpenVINO reports its mere import over the network where its telemetry package is there."""
    program = (
        "import sys, torch; from recognition.compiled import CompiledNet; "
        "CompiledNet(torch.nn.Conv2d(3, 2, 1).eval(), torch.zeros(1, 3, 4, 4), largest_batch=1); "
        "assert 'openvino' in sys.modules; "
        "assert not any('telemetry' in name and 'stub' not in name and module is not None "
        "and not name.startswith('openvino.') for name, module in sys.modules.items())"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
