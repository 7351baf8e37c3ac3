"""A worker at a site that asks for presentation attack detection: real faces, real decisions.

The networks have random weights but for their last layer, which says "face" or "picture" whatever
it sees: what is shown here is what the door makes of a score, not how good the score is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import redis
import torch

from accesscontrol.admin.why import why
from accesscontrol.frames import FrameOutlet
from accesscontrol.models import Decision, Outcome, PadPolicy, Punch, Site
from recognition.minifasnet import LIVE, MiniFasNet, MiniFasNetPair
from recognition.pad_threshold import pad_threshold
from recognition.pipeline import Networks, Pipeline
from recognition.tasks import model_facts
from recognition.types import Pixels
from recognition.worker import Recogniser
from tests.factories import EmployeeFactory, SiteFactory, ThresholdFactory
from tests.recognition.walk import Screen, enrol_face, kiosk_at, picture, walk_up

pytestmark = pytest.mark.django_db


def pair_that_says(attack: float) -> MiniFasNetPair:
    """A pair that gives every face this attack score."""
    torch.manual_seed(0)
    pair = MiniFasNetPair().eval()
    for net in (pair.near, pair.far):
        assert isinstance(net, MiniFasNet)
        last = net.layers[-1]
        assert isinstance(last, torch.nn.Linear)
        with torch.no_grad():
            last.weight.zero_()
            last.bias.fill_(math.log(attack / 2))
            last.bias[LIVE] = math.log(1 - attack) if attack < 1 else -40.0
    return pair


def pipeline_with(pipeline: Pipeline, pair: MiniFasNetPair | None) -> Pipeline:
    nets = Networks(
        pipeline.detector,
        pipeline.embedder,
        pipeline.antispoofing,
        pair,
        pipeline.second_embedder,
    )
    return Pipeline(nets, pipeline.model, pipeline.device)


@pytest.fixture
def site(db: None) -> Site:
    return SiteFactory.create(pad_policy=PadPolicy.PASSIVE)


@pytest.fixture
def screen(site: Site, valkey: redis.Redis) -> Iterator[Screen]:
    opened = Screen(kiosk_at(site))
    yield opened
    opened.close()


class Door:
    """The site's worker with a pair of its own, and one enrolled person."""

    def __init__(
        self, site: Site, screen: Screen, outlet: FrameOutlet, pipeline: Pipeline, face: Pixels
    ) -> None:
        self.screen = screen
        self.recogniser = Recogniser(pipeline, outlet, model_facts(pipeline))
        version = self.recogniser.version()
        ThresholdFactory.create(site=site, model_version=version, value=0.6)
        enrol_face(EmployeeFactory.create(site=site, name="Barack"), face, pipeline)

    def decide(self, images: list[bytes]) -> Decision:
        walk_up(self.screen, self.recogniser, images)
        self.screen.rest()
        self.recogniser.drain()
        return Decision.objects.get()


@pytest.fixture
def walk(portraits: dict[str, Pixels]) -> list[bytes]:
    return [picture(portraits["obama2.jpg"])] * 3


@pytest.fixture
def face(portraits: dict[str, Pixels]) -> Pixels:
    return portraits["obama.jpg"]


def test_a_face_that_looks_alive_is_accepted_and_the_record_says_why(
    site: Site,
    screen: Screen,
    outlet: FrameOutlet,
    pipeline: Pipeline,
    face: Pixels,
    walk: list[bytes],
) -> None:
    with_pair = pipeline_with(pipeline, pair_that_says(0.25))
    decision = Door(site, screen, outlet, with_pair, face).decide(walk)
    assert decision.outcome == Outcome.ACCEPTED
    assert Punch.objects.count() == 1
    assert decision.evidence["pad"] == {
        "score": 0.25,
        "frames": 3,
        "model": "minifasnet f679b7c",
        "threshold": pad_threshold(with_pair.pad_model),
    }


def test_a_picture_of_an_employee_is_refused_without_a_name_or_punch(
    site: Site,
    screen: Screen,
    outlet: FrameOutlet,
    pipeline: Pipeline,
    face: Pixels,
    walk: list[bytes],
) -> None:
    with_pair = pipeline_with(pipeline, pair_that_says(0.97))
    decision = Door(site, screen, outlet, with_pair, face).decide(walk)
    assert (decision.outcome, decision.employee) == (Outcome.PAD_FAILED, None)
    assert not Punch.objects.exists()
    (told,) = screen.decisions()
    assert (told["outcome"], told["employee"]) == ("PAD_FAILED", None)
    assert "photo or screen" in told["reason"]
    assert "attack score 0.97" in why(decision)


def test_a_worker_without_the_model_accepts_nobody_where_it_is_asked_for(
    site: Site,
    screen: Screen,
    outlet: FrameOutlet,
    pipeline: Pipeline,
    face: Pixels,
    walk: list[bytes],
) -> None:
    without = pipeline_with(pipeline, None)
    decision = Door(site, screen, outlet, without, face).decide(walk)
    assert decision.outcome == Outcome.PAD_FAILED
    assert decision.evidence["pad"]["threshold"] is None
    assert "--with minifasnet" in why(decision)


def test_a_score_that_is_no_number_is_a_refusal(
    site: Site,
    screen: Screen,
    outlet: FrameOutlet,
    pipeline: Pipeline,
    face: Pixels,
    walk: list[bytes],
) -> None:
    broken = pair_that_says(0.1)
    with torch.no_grad():
        next(broken.near.parameters()).fill_(math.nan)
    decision = Door(site, screen, outlet, pipeline_with(pipeline, broken), face).decide(walk)
    assert decision.outcome == Outcome.PAD_FAILED
    assert (decision.evidence["pad"]["score"], decision.evidence["pad"]["frames"]) == (None, 0)
    assert "0 of the 3" in why(decision)


def test_where_it_is_off_nothing_is_scored_and_a_picture_is_accepted(
    site: Site,
    screen: Screen,
    outlet: FrameOutlet,
    pipeline: Pipeline,
    face: Pixels,
    walk: list[bytes],
) -> None:
    Site.objects.update(pad_policy=PadPolicy.OFF)
    with_pair = pipeline_with(pipeline, pair_that_says(0.97))
    decision = Door(site, screen, outlet, with_pair, face).decide(walk)
    assert decision.outcome == Outcome.ACCEPTED
    assert decision.evidence["pad"] is None


def counting(pair: MiniFasNetPair) -> list[int]:
    """How many faces the pair has scored, call by call, from now on."""
    counts: list[int] = []
    pair.register_forward_pre_hook(lambda _, views: counts.append(len(views[0])))
    return counts


def test_after_the_decision_the_persons_frames_are_not_scored(
    site: Site,
    screen: Screen,
    outlet: FrameOutlet,
    pipeline: Pipeline,
    face: Pixels,
    walk: list[bytes],
) -> None:
    pair = pair_that_says(0.25)
    counts = counting(pair)
    decision = Door(site, screen, outlet, pipeline_with(pipeline, pair), face).decide(walk * 2)
    assert decision.outcome == Outcome.ACCEPTED
    assert counts == [1, 1, 1]


def test_who_turns_up_after_a_decision_is_scored_from_the_first_frame(
    site: Site,
    screen: Screen,
    outlet: FrameOutlet,
    pipeline: Pipeline,
    face: Pixels,
    walk: list[bytes],
    portraits: dict[str, Pixels],
) -> None:
    both = [picture(portraits["obama2.jpg"], portraits["biden.jpg"])] * 3
    pair = pair_that_says(0.25)
    counts = counting(pair)
    door = Door(site, screen, outlet, pipeline_with(pipeline, pair), face)
    walk_up(screen, door.recogniser, walk)
    walk_up(screen, door.recogniser, both)
    screen.rest()
    door.recogniser.drain()
    second = Decision.objects.exclude(outcome=Outcome.ACCEPTED).get()
    assert second.outcome == Outcome.NO_MATCH
    assert (second.evidence["pad"]["frames"], second.frames) == (3, 3)
    assert counts == [1, 1, 1, 2, 2, 2]


def test_only_the_images_that_ask_for_it_are_scored(
    pipeline: Pipeline, portraits: dict[str, Pixels]
) -> None:
    with_pair = pipeline_with(pipeline, pair_that_says(0.25))
    images = [portraits["obama.jpg"], portraits["biden.jpg"], portraits["obama2.jpg"]]
    results = with_pair.analyse_pixels(images, smallest_face=80, with_pad=[True, False, True])
    pads = [[face.pad for face in result.faces] for result in results]
    assert pads == [[pytest.approx(0.25)], [None], [pytest.approx(0.25)]]


def test_an_unreadable_image_does_not_shift_the_others_scores(
    pipeline: Pipeline, portraits: dict[str, Pixels]
) -> None:
    with_pair = pipeline_with(pipeline, pair_that_says(0.25))
    frame = picture(portraits["obama2.jpg"])
    results = with_pair.analyse([b"garbage", frame, frame], with_pad=[True, False, True])
    assert results[0].error is not None
    assert results[1].faces[0].pad is None
    assert results[2].faces[0].pad == pytest.approx(0.25)
