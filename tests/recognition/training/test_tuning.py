"""What a fine-tune learns from: which photos a step is shown, and by which loss."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from recognition.embed import MobileFaceNet, embed, normalise
from recognition.training.finetune import separation, vectors_of
from recognition.training.subjects import Subjects
from recognition.training.tuning import TuneSettings, Tuning, prepare, with_last_layers
from tests.recognition.training.made_people import made_people

SITE = made_people("site", 12, 4, nuisance=1.0, seed=1)
GENERAL = made_people("general", 20, 1, nuisance=0.0, seed=2)
AHEAD = torch.zeros(4).bool()
"""Nobody's head is turned."""
SETTINGS = TuneSettings(what="adapter", people=4, images=3, replayed=6, seed=5)


class TestLoss:
    def test_it_is_the_formula_by_hand(self) -> None:
        torch.manual_seed(0)
        centres = functional.normalize(torch.randn(5, 8), dim=1)
        vectors = functional.normalize(torch.randn(4, 8), dim=1)
        inputs, labels = torch.randn(4, 8), torch.tensor([4, 0, 1, 3])

        def away(row: int, to: Tensor) -> float:
            return 1 - float(functional.cosine_similarity(inputs[row], to, dim=0))

        settings = TuneSettings(keep=2.0)
        found = Tuning(nn.Identity(), centres, settings, 2)(inputs, labels, vectors, AHEAD)
        near = (away(1, centres[0]) + away(2, centres[1])) / 2
        keep = (away(0, vectors[0]) + away(3, vectors[3])) / 2
        assert float(found["near"]) == pytest.approx(near, rel=1e-5)
        assert float(found["keep"]) == pytest.approx(keep, rel=1e-5)
        assert float(found["loss"]) == pytest.approx(near + 2 * keep, rel=1e-5)
        assert float(found["turn"]) == 0

    def test_turned_heads_learn_the_vectors_of_heads_that_look_ahead(self) -> None:
        torch.manual_seed(0)
        centres = functional.normalize(torch.randn(5, 8), dim=1)
        vectors = functional.normalize(torch.randn(3, 8), dim=1)
        inputs, labels = torch.randn(3, 8), torch.tensor([4, 0, 4])
        turned = torch.tensor([False, True, True])
        settings = TuneSettings(keep=2.0, turn=3.0)
        found = Tuning(nn.Identity(), centres, settings, 2)(inputs, labels, vectors, turned)
        away = 1 - functional.cosine_similarity(inputs, vectors)
        assert float(found["turn"]) == pytest.approx(float(away[1:].mean()), rel=1e-5)
        assert float(found["keep"]) == pytest.approx(float(away[0]), rel=1e-5)
        whole = found["near"] + 2 * found["keep"] + 3 * found["turn"]
        assert float(found["loss"]) == pytest.approx(float(whole), rel=1e-5)

    def test_the_sites_own_people_may_move_unless_they_are_held(self) -> None:
        torch.manual_seed(0)
        centres = functional.normalize(torch.randn(5, 8), dim=1)
        vectors = functional.normalize(torch.randn(3, 8), dim=1)
        inputs, labels = torch.randn(3, 8), torch.tensor([4, 0, 1])

        def kept(site: int, *, hold_site: bool = False) -> float:
            tuning = Tuning(nn.Identity(), centres, TuneSettings(), site, hold_site=hold_site)
            return float(tuning(inputs, labels, vectors, AHEAD[:3])["keep"])

        away = 1 - functional.cosine_similarity(inputs, vectors)
        assert kept(2) == pytest.approx(float(away[0]), rel=1e-5)
        assert kept(5) == 0
        assert kept(5, hold_site=True) == pytest.approx(float(away.mean()), rel=1e-5)

    def test_its_gradient_is_that_of_finite_differences(self) -> None:
        torch.manual_seed(0)
        centres = functional.normalize(torch.randn(4, 5).double(), dim=1)
        vectors = functional.normalize(torch.randn(3, 5).double(), dim=1)
        tuning = Tuning(nn.Identity(), centres, TuneSettings(), 2)
        inputs = torch.randn(3, 5).double().requires_grad_()
        labels = torch.tensor([0, 3, 3])
        assert torch.autograd.gradcheck(
            lambda x: tuning(x, labels, vectors, AHEAD[:3])["loss"], inputs
        )

    def test_no_checkpoint_holds_anybodys_centre(self) -> None:
        tuning = prepare(SITE, GENERAL, None, SETTINGS).tuning
        assert tuning.centres.shape == (32, 64)
        assert all(name.startswith("net.") for name in tuning.state_dict())


class TestBatches:
    def test_a_batch_is_a_pure_function_of_its_number(self) -> None:
        one, other = (prepare(SITE, GENERAL, None, SETTINGS).batches for _ in range(2))
        for number in (7, 0, 7, 3):
            for a, b in zip(one.at(number), other.at(number), strict=True):
                assert torch.equal(a, b)
        assert not torch.equal(one.at(0)[0], one.at(1)[0])

    def test_two_processes_see_what_one_would_see_in_twice_as_many_steps(self) -> None:
        batches = prepare(SITE, GENERAL, None, SETTINGS).batches
        assert torch.equal(batches.at(3, 1, 2)[0], batches.at(7)[0])

    def test_it_has_people_of_the_site_and_of_the_general_set_with_their_own_labels(self) -> None:
        inputs, labels, vectors, turned = prepare(SITE, GENERAL, None, SETTINGS).batches.at(0)
        assert not turned.any()
        assert inputs.shape == vectors.shape == (4 * 3 + 6, 64)
        assert torch.equal(inputs, vectors), "an adapter sees what the embedder gives"
        assert len(set(labels[:12].tolist())) == 4
        assert (labels[:12] < 12).all()
        assert (labels[12:] >= 12).all()
        for row, label in zip(vectors, labels.tolist(), strict=True):
            who = SITE if label < 12 else GENERAL
            rows = [n for n, place in enumerate(who.labels.tolist()) if place == label % 12]
            if label < 12:
                assert any(torch.equal(row, who.vectors[n]) for n in rows)

    def test_an_adapter_sees_heads_turned_and_learns_where_they_were_before(self) -> None:
        turned = functional.normalize(torch.randn(len(GENERAL.people), 2, 64), dim=2)
        general = replace(GENERAL, turned=turned)
        site = replace(SITE, turned=SITE.vectors[:, None].expand(-1, 2, -1))
        batches = prepare(site, general, None, SETTINGS).batches
        seen = [batches.at(number) for number in range(20)]
        inputs, vectors = (torch.cat([one[place][12:] for one in seen]) for place in (0, 2))
        row = (vectors @ GENERAL.vectors.T).argmax(1)
        torch.testing.assert_close(vectors, GENERAL.vectors[row])
        plain = (inputs == vectors).all(1)
        assert torch.equal(~plain, torch.cat([one[3][12:] for one in seen]))
        assert 20 < int(plain.sum()) < 60, "a third of 120"
        views = turned[row[~plain]]
        assert ((views == inputs[~plain, None]).all(2).sum(1) == 1).all()

    def test_other_photos_or_settings_give_another_fingerprint(self) -> None:
        found = {
            prepare(site, GENERAL, None, settings).batches.fingerprint
            for site in (SITE, made_people("site", 12, 4, nuisance=1.1, seed=1))
            for settings in (SETTINGS, TuneSettings(what="adapter", seed=6))
        }
        assert len(found) == 4

    def test_names_do_not_count(self) -> None:
        renamed = Subjects(
            tuple(f"x{person}" for person in SITE.people), SITE.names, SITE.faces, SITE.vectors
        )
        assert renamed.fingerprint == SITE.fingerprint

    def test_one_person_is_refused(self) -> None:
        with pytest.raises(ValueError, match="at least two people"):
            prepare(made_people("one", 1, 5, nuisance=1.0), GENERAL, None, SETTINGS)


def test_blocks_begin_as_the_network_that_they_are_of() -> None:
    torch.manual_seed(0)
    net = MobileFaceNet().eval()
    random = torch.Generator().manual_seed(0)
    faces = torch.randint(0, 256, (4, 3, 112, 112), generator=random, dtype=torch.uint8)
    vectors = embed(net, faces.float()).detach()
    subjects = Subjects(("a", "a", "b", "b"), ("0", "1", "0", "1"), faces, vectors)
    settings = TuneSettings(from_layer=20, people=2, images=2, views=2)
    prepared = prepare(subjects, None, net, settings)
    whole = with_last_layers(net, prepared.tuning.net, 20)
    torch.testing.assert_close(vectors_of(subjects, whole, None), vectors, rtol=0, atol=1e-6)
    inputs, labels, before, turned = prepared.batches.at(0)
    assert inputs.shape[1:] == (128, 7, 7)
    assert not turned.any(), "of two views one is the face, the other its mirror image"
    net_of_views = functional.normalize(prepared.tuning.net(inputs), dim=1)
    torch.testing.assert_close(net_of_views, before, rtol=0, atol=1e-4)
    losses = prepared.tuning(inputs, labels, before, turned)
    torch.autograd.backward(losses["loss"])
    assert all(value.grad is not None for value in prepared.tuning.net.parameters())
    assert all(value.grad is None for value in net.parameters()), "the parent learns nothing"


def test_blocks_see_heads_turned_and_learn_what_the_parent_made_of_them_before() -> None:
    torch.manual_seed(0)
    net = MobileFaceNet().eval()
    random = torch.Generator().manual_seed(0)
    faces = torch.randint(0, 256, (4, 3, 112, 112), generator=random, dtype=torch.uint8)
    subjects = Subjects(("a", "a", "b", "b"), ("0", "1", "0", "1"), faces, torch.zeros(4, 192))
    settings = TuneSettings(from_layer=20, people=2, images=2, views=4)
    batches = prepare(subjects, None, net, settings).batches
    _, _, before, turned = (
        torch.cat(rows) for rows in zip(*map(batches.at, range(6)), strict=True)
    )
    assert 0 < int(turned.sum()) < len(turned)
    with torch.inference_mode():
        both = torch.cat([net(normalise(view)) for view in (faces.float(), faces.float().flip(3))])
    known = functional.normalize(both, dim=1)
    assert (before @ known.T).amax(1).min() > 0.999, "of the face or its mirror image, as they are"


def test_separation_is_the_means_distance_over_the_root_of_the_mean_variance() -> None:
    genuine: list[float] = []
    impostor: list[float] = []
    for a in range(len(SITE.people)):
        for b in range(a + 1, len(SITE.people)):
            score = float(SITE.vectors[a] @ SITE.vectors[b])
            (genuine if SITE.people[a] == SITE.people[b] else impostor).append(score)
    one, other = torch.tensor(genuine).double(), torch.tensor(impostor).double()
    expected = (one.mean() - other.mean()) / ((one.var() + other.var()) / 2).sqrt()
    assert separation(SITE.vectors, SITE) == pytest.approx(float(expected), rel=1e-5)
