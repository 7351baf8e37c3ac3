"""Backbones: as large as published, wholly trainable, and MobileFaceNet the engine's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from recognition.embed import MobileFaceNet, normalise
from recognition.iresnet import IResNet
from recognition.training.backbones import BACKBONES, Vgg16, backbone
from recognition.training.inception_resnet import InceptionResNetV1
from recognition.training.mobilefacenet import NormalisedConv, TrainableMobileFaceNet
from recognition.weights import load_into
from tests.recognition.importer import faces as pixels
from tests.recognition.importer import fed, loaded, take_in


def parameters(net: nn.Module) -> int:
    return sum(value.numel() for value in net.parameters())


def faces(count: int, side: int = 112, seed: int = 0) -> Tensor:
    """Soft patterns with values as a normalised face has them."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand((count, 3, 8, 8), generator=random) * 255
    return normalise(nn.functional.interpolate(coarse, size=(side, side), mode="bilinear"))


@pytest.mark.parametrize("name", BACKBONES)
class TestEveryBackbone:
    def test_it_turns_faces_into_vectors_of_the_dimension_asked_for(self, name: str) -> None:
        net = backbone(name, 64).eval()
        with torch.inference_mode():
            assert net(faces(2)).shape == (2, 64)

    def test_a_gradient_reaches_every_parameter(self, name: str) -> None:
        torch.manual_seed(0)
        net = backbone(name, 64)
        torch.autograd.backward((net(faces(4)) * torch.randn(4, 64)).sum())
        for part, value in net.named_parameters():
            assert value.grad is not None, part
            assert value.grad.isfinite().all(), part
            assert value.grad.any(), part

    def test_one_seed_gives_one_network(self, name: str) -> None:
        torch.manual_seed(5)
        one = backbone(name, 64).state_dict()
        torch.manual_seed(5)
        other = backbone(name, 64).state_dict()
        assert all(torch.equal(one[part], other[part]) for part in one)


def test_an_unknown_name_is_refused_with_those_known() -> None:
    with pytest.raises(ValueError, match="no backbone 'resnet', only mobilefacenet, "):
        backbone("resnet", 64)


class TestSizes:
    def test_vgg16_has_the_published_138_million(self) -> None:
        with torch.device("meta"):
            published = Vgg16(1000, normalised=False, side=224)
        assert parameters(published) == 138_357_544

    def test_inception_resnet_v1_has_those_of_the_published_weights(self) -> None:
        # 27,910,327 with a classifier of 8,631 people on 512 numbers (VGGFace2).
        with torch.device("meta"):
            assert parameters(InceptionResNetV1(512)) == 27_910_327 - (512 + 1) * 8631

    def test_mobilefacenet_has_those_of_its_table(self) -> None:
        """Table 1 of the paper, with the 1x1 convolution that the published file adds."""

        def conv(inside: int, outside: int, side: int) -> int:
            return inside * outside * side * side + 2 * outside  # normalisation: gain and offset

        def bottleneck(inside: int, wide: int, outside: int) -> int:
            slopes = 2 * wide
            layers = conv(inside, wide, 1) + conv(1, wide, 3) + conv(wide, outside, 1)
            return layers + slopes

        expected = conv(3, 64, 3) + conv(1, 64, 3) + 2 * 64 + conv(64, 64, 1)
        expected += 5 * bottleneck(64, 128, 64)
        expected += bottleneck(64, 256, 128) + 6 * bottleneck(128, 256, 128)
        expected += bottleneck(128, 512, 128) + 2 * bottleneck(128, 256, 128)
        expected += conv(128, 512, 1) + 512 + conv(1, 512, 7) + conv(512, 512, 1)
        assert parameters(TrainableMobileFaceNet(128)) == expected + conv(512, 128, 1)


class TestMobileFaceNet:
    @pytest.fixture
    def trained(self) -> TrainableMobileFaceNet:
        """One whose statistics and slopes are no longer those of its birth."""
        torch.manual_seed(1)
        net = TrainableMobileFaceNet(96)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.2)
                module.momentum = 0.5
            if isinstance(module, nn.PReLU):
                nn.init.uniform_(module.weight, 0.1, 0.5)
        for seed in range(3):
            net(faces(4, seed=seed))
        return net.eval()

    def test_it_is_the_engines_network_with_normalisation_in_every_convolution(self) -> None:
        ours = TrainableMobileFaceNet()
        engine = [type(m) for m in MobileFaceNet().modules() if isinstance(m, nn.Conv2d)]
        assert [type(m.conv) for m in ours.modules() if isinstance(m, NormalisedConv)] == engine
        assert isinstance(ours.net, MobileFaceNet)

    def test_folded_it_is_the_engines_network_with_the_same_vectors(
        self, trained: TrainableMobileFaceNet
    ) -> None:
        engine = MobileFaceNet(96).eval()
        engine.load_state_dict(trained.folded())
        with torch.inference_mode():
            torch.testing.assert_close(engine(faces(3)), trained(faces(3)), rtol=1e-4, atol=1e-4)

    def test_weights_taken_over_give_the_same_vectors_whatever_was_measured_on(
        self, trained: TrainableMobileFaceNet
    ) -> None:
        for seed in (0, 9):
            other = TrainableMobileFaceNet(96)
            other.unfold(trained.folded(), faces(6, seed=seed))
            with torch.inference_mode():
                torch.testing.assert_close(
                    other.eval()(faces(3)), trained(faces(3)), rtol=1e-3, atol=1e-3
                )

    def test_training_goes_on_where_the_weights_taken_over_were(
        self, trained: TrainableMobileFaceNet
    ) -> None:
        other = TrainableMobileFaceNet(96)
        other.unfold(trained.folded(), faces(16))
        expected = trained(faces(16)).detach()
        with torch.no_grad():  # by the batch's own statistics, which are those measured
            found = other.train()(faces(16))
        torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-2)

    def test_the_shipped_weights_can_be_taken_over(self, models_dir: Path) -> None:
        shipped = MobileFaceNet()
        load_into(shipped, models_dir, "mobilefacenet")
        net = TrainableMobileFaceNet()
        net.unfold(shipped.state_dict(), faces(8))
        with torch.inference_mode():
            cosine = nn.functional.cosine_similarity(net.eval()(faces(3)), shipped(faces(3)))
        assert float(cosine.min()) > 0.9999

    def test_folded_it_is_imported_with_the_dimension_it_has(
        self, trained: TrainableMobileFaceNet, bare_home: Path, tmp_path: Path
    ) -> None:
        path = tmp_path / "ours.safetensors"
        safetensors.torch.save_file(trained.folded(), path)
        assert take_in(bare_home, path).dimension == 96
        expected = fed(trained, normalise(pixels()))
        found = fed(loaded(bare_home), normalise(pixels()))
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)

    def test_weights_of_another_network_are_refused(self) -> None:
        with pytest.raises(RuntimeError):
            TrainableMobileFaceNet().unfold(IResNet("iresnet18", 192).state_dict(), faces(1))
        with pytest.raises(RuntimeError):
            TrainableMobileFaceNet(64).unfold(MobileFaceNet(192).state_dict(), faces(1))
