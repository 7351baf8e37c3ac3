"""Networks in 16-bit arithmetic give nearly the same vectors, and the same in any batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from recognition import compiled
from recognition.pipeline import Pipeline
from recognition.precision import ReducedNet, reduces
from recognition.types import Face, Pixels

CPU = torch.device("cpu")

made_for_bfloat16 = pytest.mark.skipif(
    not compiled.computes_bfloat16(), reason="this processor does not multiply in bfloat16"
)


def face(pipeline: Pipeline, image: Pixels) -> Face:
    (result,) = pipeline.analyse_pixels([image])
    (found,) = result.faces
    return found


def test_reduced_vectors_match_exact_ones(models_dir: Path, portraits: dict[str, Pixels]) -> None:
    exact = Pipeline.load(models_dir, device="cpu", threads=1, precision="float32")
    reduced = Pipeline.load(models_dir, device="cpu", threads=1, precision="reduced")
    for portrait in portraits.values():
        one, other = face(exact, portrait), face(reduced, portrait)
        width = one.box[2] - one.box[0]
        np.testing.assert_allclose(one.points, other.points, atol=0.02 * width)
        assert one.embedding is not None
        assert other.embedding is not None
        assert one.embedding @ other.embedding >= 0.999
        assert one.embedding @ other.embedding < 1 - 1e-7, "nothing was reduced"
        assert other.embedding.dtype == np.float32


@made_for_bfloat16
def test_a_faces_bits_do_not_depend_on_its_batch(
    models_dir: Path, portraits: dict[str, Pixels]
) -> None:
    """Sixteen bits make much of little: a pixel's last bit would move the vector by 1e-3."""
    pipeline = Pipeline.load(models_dir, device="cpu", threads=1)
    assert pipeline.precision == "reduced"
    images = list(portraits.values())
    together = pipeline.analyse_pixels(images * 5)
    for index, result in enumerate(together):
        alone = face(pipeline, images[index % len(images)])
        (found,) = result.faces
        np.testing.assert_array_equal(found.points, alone.points)
        assert found.embedding is not None
        assert alone.embedding is not None
        assert np.abs(found.embedding - alone.embedding).max() <= 1e-4


def test_by_itself_it_reduces_only_where_bits_hold_still() -> None:
    assert not reduces("auto", CPU, compiled=False)
    assert reduces("auto", CPU, compiled=True) == compiled.computes_bfloat16()
    assert reduces("auto", torch.device("cuda"), compiled=False)
    assert not reduces("float32", torch.device("cuda"), compiled=False)


def test_a_network_of_torch_is_reduced_between_float32_ends() -> None:
    torch.manual_seed(4)
    net = nn.Conv2d(3, 8, 3).eval()
    images = torch.rand(2, 3, 9, 9)
    with torch.inference_mode():
        exact, reduced = net(images), ReducedNet(net, CPU)(images)
    assert reduced.dtype == torch.float32
    torch.testing.assert_close(reduced, exact, atol=2e-2, rtol=2e-2)
    assert not torch.equal(reduced, exact)


def test_every_network_has_run_after_the_warm_up(models_dir: Path) -> None:
    pipeline = Pipeline.load(models_dir, device="cpu", threads=1)
    runs: dict[str, int] = {}

    def count(name: str, net: nn.Module | None) -> None:
        if net is not None:
            net.register_forward_hook(lambda *_: runs.__setitem__(name, runs.get(name, 0) + 1))

    count("detector", pipeline.detector)
    count("embedder", pipeline.embedder)
    count("second embedder", pipeline.second_embedder)
    pipeline.warm_up()
    assert runs["detector"] >= 2 * runs["embedder"] >= 4
    assert runs["second embedder"] == runs["embedder"]
