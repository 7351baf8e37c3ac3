"""A worker that takes longer for a frame than people may be out of sight: walk-ups stay whole."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import redis

from accesscontrol.frames import FrameOutlet
from accesscontrol.models import Decision, Outcome, Punch
from recognition import tracking
from recognition.worker import Recogniser
from tests.enrolled import template
from tests.factories import (
    EmployeeFactory,
    ModelVersionFactory,
    SiteFactory,
    ThresholdFactory,
    jpeg_bytes,
)
from tests.recognition.eyes import ANNA, MODEL, Eyes
from tests.recognition.walk import Screen, kiosk_at, walk_up

pytestmark = pytest.mark.django_db(transaction=True)

GONE_AFTER_MS = 500
LOOK_S = 0.6


@pytest.fixture
def recogniser(outlet: FrameOutlet, monkeypatch: pytest.MonkeyPatch) -> Recogniser:
    monkeypatch.setattr(tracking, "GONE_AFTER_MS", GONE_AFTER_MS)
    return Eyes(before=lambda _look: threading.Event().wait(LOOK_S)).recogniser(outlet)


@pytest.fixture
def screen(valkey: redis.Redis) -> Iterator[Screen]:
    version = ModelVersionFactory.create(
        name=MODEL.name, version=MODEL.version, sha256=MODEL.sha256
    )
    site = SiteFactory.create(cool_down_s=0)
    ThresholdFactory.create(site=site, model_version=version)
    template(EmployeeFactory.create(site=site, consented=True), ANNA, version=version)
    opened = Screen(kiosk_at(site))
    yield opened
    opened.close()


def test_somebody_who_stays_has_one_decision_however_long_each_look_takes(
    screen: Screen, recogniser: Recogniser
) -> None:
    walk_up(screen, recogniser, [jpeg_bytes()] * 4)
    assert [told["outcome"] for told in screen.decisions()] == [Outcome.ACCEPTED]
    assert Decision.objects.count() == Punch.objects.count() == 1


def test_somebody_who_left_is_still_closed(screen: Screen, recogniser: Recogniser) -> None:
    walk_up(screen, recogniser, [jpeg_bytes()])
    assert not Decision.objects.exists()
    threading.Event().wait(LOOK_S)
    recogniser.drain()
    assert Decision.objects.get().outcome == Outcome.LOW_QUALITY
