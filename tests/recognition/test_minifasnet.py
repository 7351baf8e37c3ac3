"""The MiniFASNet pair: the port computes what was published, and sees what it should see."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from recognition import compiled
from recognition.minifasnet import (
    SIDE,
    V1_BLOCKS,
    V2_BLOCKS,
    MiniFasNet,
    MiniFasNetPair,
    attack_scores,
    compile_pair,
    cut,
    framed,
)
from recognition.minifasnet_conversion import fill, folded, minifasnet_state
from recognition.sampling import ImageSet
from recognition.torch_file import TorchFileError
from tests.recognition.published_minifasnet import published_files, random_net

CPU = torch.device("cpu")
NEAR = torch.tensor([2.7])


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(scope="module")
def pair() -> MiniFasNetPair:
    pair = MiniFasNetPair()
    pair.load_state_dict(minifasnet_state(published_files()))
    return pair.eval()


@pytest.mark.parametrize(("blocks", "attention"), [(V2_BLOCKS, False), (V1_BLOCKS, True)])
def test_folding_changes_nothing_but_rounding(
    blocks: tuple[tuple[int, ...], ...], attention: bool
) -> None:
    published = random_net(blocks, attention=attention)
    port = MiniFasNet(blocks, attention=attention).eval()
    fill(port, published.state_dict())
    views = torch.from_numpy(noise(4, 3, SIDE, SIDE)).float()
    with torch.inference_mode():
        expected, found = published(views), port(views)
    spread = float(expected.std(0).max())
    assert spread > 0.01, "what says the same of every view would agree with anything"
    assert float((found - expected).abs().max()) <= 1e-3 * spread


def test_the_networks_have_the_published_number_of_tensors() -> None:
    near, far = random_net(V2_BLOCKS, attention=False), random_net(V1_BLOCKS, attention=True)
    assert len(near.state_dict()) == 334
    assert len(far.state_dict()) == 370


def test_weights_that_do_not_fit_are_refused() -> None:
    net = MiniFasNet(V2_BLOCKS, attention=False)
    other = random_net(V1_BLOCKS, attention=True).state_dict()
    with pytest.raises(TorchFileError):
        fill(net, other)
    cut_short = dict(list(random_net(V2_BLOCKS, attention=False).state_dict().items())[:-3])
    with pytest.raises(TorchFileError):
        fill(net, cut_short)
    with pytest.raises(TorchFileError):
        fill(net, {})


def test_a_normalisation_of_another_width_is_refused() -> None:
    names = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    norm = {f"bn.{name}": torch.ones(3) for name in names}
    with pytest.raises(TorchFileError):
        list(folded({"conv.weight": torch.ones(4, 1, 1, 1), **norm}))


def boxes(*rows: tuple[float, float, float, float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float32)


def place(box: tuple[float, float, float, float], framing: float, w: int, h: int) -> list[float]:
    size = torch.tensor([[float(w), float(h)]])
    found: list[float] = framed(boxes(box), size, torch.tensor([framing]))[0].tolist()
    return found


class TestFraming:
    def test_well_inside_it_is_the_box_enlarged_about_its_middle(self) -> None:
        assert place((299.5, 219.5, 339.5, 259.5), 2.5, 640, 480) == [270, 190, 370, 290]

    def test_the_boxs_own_shape_is_kept(self) -> None:
        left, top, right, bottom = place((300, 200, 330, 240), 4.0, 640, 480)
        assert (right - left, bottom - top) == (120, 160)

    @pytest.mark.parametrize(
        ("box", "expected"),
        [
            ((0, 200, 40, 240), (0, None, 100, None)),
            ((600, 200, 640, 240), (540, None, 640, None)),
            ((300, -5, 340, 35), (None, 0, None, 100)),
            ((300, 445, 340, 485), (None, 380, None, 480)),
        ],
    )
    def test_at_a_border_it_is_moved_into_the_image_and_keeps_its_size(
        self, box: tuple[float, float, float, float], expected: tuple[float | None, ...]
    ) -> None:
        found = place(box, 2.5, 640, 480)
        for side, wanted in zip(found, expected, strict=True):
            assert wanted is None or side == wanted

    def test_a_face_that_fills_the_frame_is_seen_in_a_square(self) -> None:
        left, top, right, bottom = place((220, 100, 380, 310), 4.0, 640, 480)
        assert right - left == bottom - top == 479

    @pytest.mark.parametrize("size", [(640, 480), (480, 640), (90, 70), (12, 12), (1, 1)])
    @pytest.mark.parametrize("framing", [2.7, 4.0])
    def test_it_never_leaves_the_image(self, size: tuple[int, int], framing: float) -> None:
        random = np.random.default_rng(1)
        for _ in range(200):
            x, y = random.uniform(-50, 700, 2)
            w, h = random.uniform(0, 400, 2)
            left, top, right, bottom = place((x, y, x + w, y + h), framing, *size)
            assert 0 <= left < right <= size[0] + 1e-3
            assert 0 <= top < bottom <= size[1] + 1e-3


class TestViews:
    def test_colours_are_blue_first(self) -> None:
        image = np.zeros((200, 200, 3), np.uint8)
        image[..., 0] = 200  # red
        views = cut(ImageSet([image], CPU), torch.tensor([0]), boxes((80, 80, 120, 120)), NEAR)
        assert views.shape == (1, 3, SIDE, SIDE)
        assert views[0, :, 40, 40].tolist() == [0, 0, 200]

    def test_a_view_of_as_many_pixels_is_those_pixels(self) -> None:
        image = noise(200, 300, 3)
        box = boxes((129.5, 79.5, 149.5, 99.5))  # 20 wide about (140, 90): 4 times is 80
        view = cut(ImageSet([image], CPU), torch.tensor([0]), box, torch.tensor([4.0]))[0]
        expected = image[50:130, 100:180, ::-1].transpose(2, 0, 1).astype(np.float32)
        np.testing.assert_allclose(view.numpy(), expected, atol=1e-3)

    def test_each_face_is_cut_from_its_own_image_whatever_the_sizes(self) -> None:
        images = [np.full((100 + 50 * n, 200, 3), 40 * n, np.uint8) for n in range(4)]
        frame = torch.tensor([3, 0, 2, 1, 3])
        found = cut(ImageSet(images, CPU), frame, boxes(*[(50, 30, 90, 80)] * 5), NEAR.repeat(5))
        assert found.amax((1, 2, 3)).tolist() == [120, 0, 80, 40, 120]


class TestScores:
    def test_a_face_scores_the_same_alone_and_among_others(self, pair: MiniFasNetPair) -> None:
        images = [noise(240, 320, 3, seed=seed) for seed in range(3)] + [noise(300, 200, 3, seed=9)]
        frame = torch.tensor([0, 1, 1, 2, 3, 3])
        rows = boxes(*[(20.0 * n, 15.0 * n, 20.0 * n + 60, 15.0 * n + 80) for n in range(6)])
        with torch.inference_mode():
            together = attack_scores(pair, ImageSet(images, CPU), frame, rows)
            for n in range(6):
                image = ImageSet([images[int(frame[n])]], CPU)
                alone = attack_scores(pair, image, torch.tensor([0]), rows[n : n + 1])
                assert abs(float(alone[0] - together[n])) <= 1e-5
        assert ((together >= 0) & (together <= 1)).all()

    def test_no_face_has_no_score(self, pair: MiniFasNetPair) -> None:
        nothing = torch.zeros(0, dtype=torch.int64)
        images = ImageSet([noise(50, 50, 3)], CPU)
        assert attack_scores(pair, images, nothing, torch.zeros(0, 4)).shape == (0,)

    @pytest.mark.parametrize(
        "box",
        [(math.nan, 0, 10, 10), (0, 0, math.inf, 10), (10, 10, 10, 20), (20, 0, 10, 10)],
    )
    def test_a_box_without_a_place_or_size_gives_no_number(
        self, pair: MiniFasNetPair, box: tuple[float, float, float, float]
    ) -> None:
        images, frame = ImageSet([noise(100, 100, 3)], CPU), torch.tensor([0, 0])
        with torch.inference_mode():
            bad, good = attack_scores(pair, images, frame, boxes(box, (20, 20, 60, 60)))
        assert torch.isnan(bad)
        assert torch.isfinite(good)

    @pytest.mark.skipif(not compiled.available(), reason="OpenVINO is not for this processor")
    @pytest.mark.parametrize("count", [1, 2, 5, 11])
    def test_run_by_openvino_the_scores_are_torchs(self, pair: MiniFasNetPair, count: int) -> None:
        images = ImageSet([noise(240, 320, 3, seed=seed) for seed in range(3)], CPU)
        rows = boxes(*[(20.0 * n, 12.0 * n, 20.0 * n + 60, 12.0 * n + 80) for n in range(count)])
        frame = torch.arange(count) % 3
        with torch.inference_mode():
            expected = attack_scores(pair, images, frame, rows)
            found = attack_scores(compile_pair(pair, 1), images, frame, rows)
        assert float((found - expected).abs().max()) <= 1e-4
