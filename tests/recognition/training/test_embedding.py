"""An embedder and its loss as one module: what learns, by which rule, and that it does learn."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import nn

from recognition.embed import normalise
from recognition.training.backbones import SmallNet
from recognition.training.embedding import (
    EmbeddingModel,
    LossName,
    LossSettings,
    Mining,
    make_loss,
    miner,
)
from recognition.training.face_batches import FaceBatches, Showing
from recognition.training.face_pairs import validation
from recognition.training.losses import ArcFaceLoss, CentreLoss, SoftmaxCentreLoss, TripletLoss
from recognition.training.mining import RandomTriplets
from recognition.training.trainer import TrainConfig, train
from tests.recognition.training.drawn import drawn_faces

LOSSES: tuple[LossName, ...] = get_args(LossName)
SETTINGS = {name: LossSettings(name) for name in LOSSES}


def model(settings: LossSettings, people: int = 12) -> EmbeddingModel:
    torch.manual_seed(0)
    return EmbeddingModel(SmallNet(32), make_loss(settings, 32, people))


class TestLosses:
    @pytest.mark.parametrize("name", LOSSES)
    def test_the_loss_of_a_batch_is_that_of_its_vectors(self, name: LossName) -> None:
        faces, labels = FaceBatches(drawn_faces(12), Showing(people=4, images=3)).at(0)
        one = model(SETTINGS[name]).eval()
        expected = one.loss(one.network(normalise(faces.float())), labels)
        assert torch.equal(one(faces, labels)["loss"], expected)

    def test_each_has_the_published_margin_unless_another_is_given(self) -> None:
        arcface = make_loss(LossSettings("arcface", sub_centres=3), 8, 5)
        triplet = make_loss(LossSettings("triplet", margin=0.4), 8, 5)
        assert isinstance(arcface, ArcFaceLoss)
        assert (arcface.margin, arcface.weights.shape) == (0.5, (3, 5, 8))
        assert isinstance(triplet, TripletLoss)
        assert triplet.margin == 0.4

    def test_random_mining_draws_from_the_generator_that_checkpoints_carry(self) -> None:
        mining = miner("random")
        assert isinstance(mining, RandomTriplets)
        assert mining.generator is torch.default_generator

    @pytest.mark.parametrize("mining", get_args(Mining))
    def test_every_mining_gives_triplets(self, mining: Mining) -> None:
        distances = torch.rand(6, 6, generator=torch.Generator().manual_seed(0))
        triplets = miner(mining)(distances, torch.tensor([0, 0, 1, 1, 2, 2]))
        assert len(triplets) > 0

    def test_in_sixteen_bits_the_loss_itself_is_computed_in_thirty_two(self) -> None:
        faces, labels = FaceBatches(drawn_faces(12), Showing(people=4, images=3)).at(0)
        seen = []

        class Watching(nn.Module):
            def forward(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
                seen.append((features.dtype, (features @ features.T).dtype))
                return features.sum()

        with torch.autocast("cpu", torch.bfloat16):
            EmbeddingModel(SmallNet(32), Watching())(faces, labels)
        assert seen == [(torch.float32, torch.float32)]


def test_centres_learn_by_their_own_rule_and_everything_else_by_the_runs() -> None:
    for name in LOSSES:
        rules = model(SETTINGS[name]).own_rules()
        assert len(rules) == (name == "centre")
    centred = model(SETTINGS["centre"])
    assert isinstance(centred.loss, SoftmaxCentreLoss)
    (rule,) = centred.own_rules()
    assert rule.parameters[0] is centred.loss.centre.centres
    assert (rule.optimiser, rule.learning_rate, rule.scheduled) == ("sgd", 0.5, False)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_teaches_to_tell_people_apart_who_were_not_shown(
    name: LossName, tmp_path: Path
) -> None:
    learn, unseen = drawn_faces(24, 4, noise=60), drawn_faces(12, 4, noise=60, seed=1)
    learner = model(LossSettings(name, scale=16.0), people=24)
    before = validation(unseen)(learner.eval())
    config = TrainConfig(
        steps=24, learning_rate=4e-3, validate_every=12, watch="accuracy", prefetch=0
    )
    batches = FaceBatches(learn, Showing(people=8, images=3, look="plain"))
    trained = train(learner, batches, config, tmp_path, validate=validation(unseen))
    assert trained.validation["accuracy"] >= 0.9
    assert trained.validation["eer"] < before["eer"]


def test_centres_are_no_part_of_the_softmaxs_optimiser(tmp_path: Path) -> None:
    """One step of the engine moves them as the paper's formula says, at its rate of 0.5."""
    learner = model(SETTINGS["centre"])
    batches = FaceBatches(drawn_faces(12), Showing(people=4, images=3, look="plain"))
    faces, labels = batches.at(0)
    features = learner.train().network(normalise(faces.float())).detach()
    learner = model(SETTINGS["centre"])
    train(learner, batches, TrainConfig(steps=1, learning_rate=1e-3, prefetch=0), tmp_path)
    (centres,) = (one.centres for one in learner.modules() if isinstance(one, CentreLoss))
    for person in range(12):
        own = features[labels == person]
        expected = 0.5 * own.sum(0) / (1 + len(own))  # from zero
        torch.testing.assert_close(centres[person].detach(), expected, rtol=1e-3, atol=1e-4)
