"""A thousand faults on the way of a frame through a worker: not one punch (REQUIREMENTS D4).

All is real but the networks: slots and presentations in Valkey, the search, the decision and its
record in PostgreSQL. In the networks' place stand eyes that see an enrolled person, who would be
accepted with the second frame, were it not for the one fault.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import time as day_time
from typing import Any, cast

import numpy as np
import pytest
import redis
from django.db import DatabaseError, OperationalError, connection, transaction

from accesscontrol import kiosks
from accesscontrol.decisions import Candidate
from accesscontrol.frames import FrameOutlet, now_ms
from accesscontrol.gallery import nearest
from accesscontrol.models import Decision, Employee, Kiosk, ModelVersion, PadPolicy, Punch, Site
from recognition.types import Face
from recognition.worker import Recogniser
from tests.enrolled import Vector, template, turned, unit
from tests.factories import (
    DIMENSION,
    EmployeeFactory,
    ModelVersionFactory,
    SiteFactory,
    ThresholdFactory,
    jpeg_bytes,
)
from tests.recognition.eyes import ANNA, MODEL, Eyes, face, quality
from tests.recognition.walk import Screen, kiosk_at

pytestmark = pytest.mark.django_db

NOT_NUMBERS = (float("nan"), float("inf"), float("-inf"))
FRAMES = 2


@dataclass
class Door:
    """A kiosk with its worker and the one person who is enrolled."""

    site: Site
    kiosk: Kiosk
    employee: Employee
    version: ModelVersion
    screen: Screen
    valkey: redis.Redis
    monkeypatch: pytest.MonkeyPatch
    eyes: Eyes = field(default_factory=Eyes)
    received: Callable[[int], int] = lambda _number: now_ms()
    between: Callable[[int], object] = lambda _number: None
    """Called after every frame."""
    database: Callable[..., Any] = lambda execute, *query: execute(*query)
    """What answers the statements of a walk-up."""

    def walk_up(self) -> None:
        """Two frames, and then nobody is there any more."""
        recogniser = self.eyes.recogniser(FrameOutlet(self.valkey))
        with connection.execute_wrapper(self.database):
            for number in range(FRAMES):
                self.screen.show(jpeg_bytes(), received_ms=self.received(number))
                drain(recogniser)
                self.between(number)
            self.screen.rest()
            drain(recogniser)

    def change(self, model: type[Site | Kiosk | Employee], **fields: object) -> None:
        model.objects.update(**fields)


def drain(recogniser: Recogniser) -> None:
    """As the Celery task does, which outlives both."""
    with suppress(DatabaseError, redis.RedisError):
        recogniser.drain()


@pytest.fixture
def entrance(valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    version = ModelVersionFactory.create(
        name=MODEL.name, version=MODEL.version, sha256=MODEL.sha256
    )
    site = SiteFactory.create(pad_policy=PadPolicy.OFF)
    ThresholdFactory.create(site=site, model_version=version)
    employee = EmployeeFactory.create(site=site, consented=True)
    template(employee, ANNA, version=version)
    screen = Screen(kiosk_at(site))
    yield Door(site, screen.kiosk, employee, version, screen, valkey, monkeypatch)
    screen.close()


Fault = Callable[[Door, random.Random], object]


def at_second_look(door: Door, act: Callable[[], object]) -> None:
    def before(number: int) -> None:
        if number == 1:
            act()

    door.eyes.before = before


def seeing(*faces: Callable[[random.Random], Face]) -> Fault:
    """In place of the person's face one of these, in every frame."""

    def fault(door: Door, dice: random.Random) -> None:
        door.eyes.sees = lambda _number: [dice.choice(faces)(dice)]

    return fault


def with_embedding(*vectors: Callable[[random.Random], Vector | None]) -> Fault:
    return seeing(*(lambda dice, make=make: face(make(dice)) for make in vectors))


def spoilt(vector: Vector, value: float, place: int) -> Vector:
    broken = vector.copy()
    broken[place] = value
    return broken


def changed(
    model: type[Site | Kiosk | Employee], *choices: dict[str, Any], late: bool = False
) -> Fault:
    """The row is changed before the person comes, or while the second frame is looked at."""

    def fault(door: Door, dice: random.Random) -> None:
        fields = dice.choice(choices)
        if not late:
            door.change(model, **fields)
        else:
            at_second_look(door, lambda: door.change(model, **fields))

    return fault


def found(*results: Callable[[list[Any]], Any]) -> Fault:
    """The search gives something else than it should."""

    def fault(door: Door, dice: random.Random) -> None:
        spoil = dice.choice(results)
        door.monkeypatch.setattr(
            "recognition.deciding.nearest", lambda *given: spoil(nearest(*given))
        )

    return fault


def scores(*values: float) -> Callable[[list[list[Candidate]]], Any]:
    return lambda found: [
        [replace(candidate, score=value) for candidate in candidates for value in values]
        for candidates in found
    ]


def failing(error: Exception) -> Callable[[object], Any]:
    def fail(_: object) -> Any:
        raise error

    return fail


def gone_after_the_search(door: Door, dice: random.Random) -> None:
    """A stale gallery: whoever was found is not to be let in any more."""
    changes: list[Callable[[], object]] = [
        lambda: door.change(Employee, is_active=False),
        lambda: door.change(Employee, site=SiteFactory.create()),
        lambda: door.change(Site, is_active=False),
        lambda: kiosks.revoke_kiosk(door.kiosk, by=None),
    ]
    change = dice.choice(changes)

    def searched(*given: Any) -> Any:
        candidates = nearest(*given)
        change()
        return candidates

    door.monkeypatch.setattr("recognition.deciding.nearest", searched)


STATEMENTS: list[str] = []
"""Of a walk-up that is accepted, as far as the punch."""


def of_an_accepted_walk_up(door: Door) -> list[str]:
    heard: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        heard.append(sql)
        return execute(sql, params, many, context)

    with transaction.atomic(), connection.execute_wrapper(note):
        door.walk_up()
        transaction.set_rollback(True)
    door.valkey.flushdb()
    door.eyes.looks = 0
    last = max(number for number, sql in enumerate(heard) if 'INTO "accesscontrol_punch"' in sql)
    return heard[: last + 1]


def database_down(door: Door, dice: random.Random) -> None:
    """From one of the statements on, none is answered any more."""
    if not STATEMENTS:
        STATEMENTS.extend(of_an_accepted_walk_up(door))
    left = dice.randrange(len(STATEMENTS))

    def answer(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal left
        left -= 1
        # What has begun is undone, as by a database whose client is gone.
        if left < 0 and not sql.startswith("ROLLBACK"):
            raise OperationalError("server closed the connection unexpectedly")
        return execute(sql, params, many, context)

    door.database = answer


def database_slow(door: Door, dice: random.Random) -> None:
    """One statement takes too long and is cancelled."""
    chosen = dice.choice(["FOR NO KEY UPDATE", "accesscontrol_consent"])

    def answer(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if chosen in sql:
            raise OperationalError("canceling statement due to statement timeout")
        return execute(sql, params, many, context)

    door.database = answer


def tracks(door: Door, change: Callable[[bytes], bytes | None]) -> None:
    """What is carried from frame to frame is changed."""
    key = f"tracks:{door.kiosk.pk}"

    def between(_number: int) -> None:
        kept = cast(bytes | None, door.valkey.get(key))
        after = change(kept) if kept else None
        if after is None:
            door.valkey.delete(key)
        else:
            door.valkey.set(key, after)

    door.between = between


def without_attack_scores(door: Door, dice: random.Random) -> None:
    door.change(Site, pad_policy=PadPolicy.PASSIVE)
    seeing(lambda _: face(pad=dice.choice([None, *NOT_NUMBERS, 1.0])))(door, dice)


def held_by_another(door: Door, _dice: random.Random) -> None:
    key = f"slots:busy:{door.kiosk.pk}"
    door.eyes.before = lambda _number: door.valkey.set(key, "another worker")


def other_model_active(door: Door, dice: random.Random) -> None:
    def switch(number: int) -> None:
        if number == moment:
            ModelVersion.objects.update(is_active=False)
            ModelVersionFactory.create(name="newer")

    moment = dice.choice([0, 1])
    door.eyes.before = switch


def other_key(door: Door, _dice: random.Random) -> None:
    """Templates of another rotation, or of another model, are none to compare with."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accesscontrol_template SET rotation_id = 'earlier'")


def wrong_time(door: Door, dice: random.Random) -> None:
    away = dice.choice([dice.randint(-(10**9), -2_100), dice.randint(60_000, 10**9)])
    door.received = lambda _number: now_ms() + away


FAULTS: dict[str, Fault] = {
    "an embedding with a number that is none": with_embedding(
        lambda dice: spoilt(ANNA, dice.choice(NOT_NUMBERS), dice.randrange(DIMENSION))
    ),
    "an embedding without direction": with_embedding(
        lambda _: np.zeros(DIMENSION, np.float32), lambda _: ANNA * np.float32(1e-9)
    ),
    "an embedding that is no unit vector": with_embedding(
        lambda dice: ANNA * np.float32(dice.choice([0.5, 0.9, 1.1, 2, 1e6]))
    ),
    "an embedding of another dimension": with_embedding(
        lambda dice: unit(1, dice.choice([1, 64, 128, 191, 193, 512]))
    ),
    "no embedding": with_embedding(lambda _: None),
    "no quality": seeing(lambda _: face(quality=None)),
    "a quality that is none": seeing(lambda dice: face(quality=quality(dice.choice(NOT_NUMBERS)))),
    "a face in the dark": seeing(lambda dice: face(quality=quality(dice.uniform(0, 0.24)))),
    "a detection that is unsure": seeing(
        lambda dice: face(score=dice.choice([float("nan"), -1.0, dice.uniform(0, 0.949)]))
    ),
    "a box that is none": seeing(
        lambda dice: face(
            box=spoilt(
                np.array([200, 120, 300, 240], np.float32),
                dice.choice(NOT_NUMBERS),
                dice.randrange(4),
            )
        ),
        lambda _: face(box=np.array([300, 120, 200, 240], np.float32)),
    ),
    "a face too small": seeing(lambda _: face(box=np.array([200, 120, 239, 170], np.float32))),
    "a stranger": with_embedding(lambda dice: turned(ANNA, dice.uniform(-1, 0.6), seed=5)),
    "somebody else in every frame": lambda door, dice: setattr(
        door.eyes, "sees", lambda _number: [face(unit(dice.randrange(100, 10**6)))]
    ),
    "the person in one frame only": lambda door, dice: setattr(
        door.eyes, "sees", lambda number: [face()] if number == 1 else []
    ),
    "no face": lambda door, _: setattr(door.eyes, "sees", lambda _number: []),
    "networks that fail": lambda door, dice: setattr(
        door.eyes,
        "before",
        lambda _number: failing(
            dice.choice([RuntimeError("out of memory"), TimeoutError(), MemoryError(), KeyError(3)])
        )(None),
    ),
    "the gallery is empty": changed(Employee, {"is_active": False}),
    "deactivated in between": changed(Employee, {"is_active": False}, late=True),
    "the site is closed": changed(Site, {"is_active": False}),
    "the site is closed in between": changed(Site, {"is_active": False}, late=True),
    "outside the hours": changed(
        Site, {"opens_at": day_time(0), "closes_at": day_time(0, 0, 0, 1)}
    ),
    "outside the zone": changed(
        Kiosk, {"zone_left": 60}, {"zone_top": 80}, {"zone_right": 20}, {"zone_bottom": 10}
    ),
    "not near enough": changed(Kiosk, {"deciding_face": 101}, {"smallest_face": 120}),
    "shut out in between": lambda door, _: at_second_look(
        door, lambda: kiosks.revoke_kiosk(door.kiosk, by=None)
    ),
    "gone after the search": gone_after_the_search,
    "attack scores asked for and not there": without_attack_scores,
    "another model is active": other_model_active,
    "templates under another key": other_key,
    "a threshold out of reach": lambda door, dice: (
        ThresholdFactory.create(site=door.site, model_version=door.version, value=0.95),
        with_embedding(lambda _: turned(ANNA, dice.uniform(0.7, 0.94), seed=5))(door, dice),
    ),
    "a look-alike": lambda door, dice: template(
        EmployeeFactory.create(site=door.site, consented=True),
        turned(ANNA, dice.uniform(0.97, 1), seed=6),
        version=door.version,
    ),
    "scores that cannot be": found(
        scores(float("nan")), scores(float("inf")), scores(1.5), scores(-1.5), scores(0.9, 0.9)
    ),
    "nothing found": found(lambda found: [[] for _ in found], lambda found: [None for _ in found]),
    "a search that fails": found(
        failing(OperationalError("timeout")), failing(RuntimeError()), failing(ValueError("probe"))
    ),
    "presentations that are broken": lambda door, dice: tracks(
        door, lambda kept: dice.choice([b"", b"{}", kept[:-1], kept[::-1], dice.randbytes(200)])
    ),
    "presentations that are lost": lambda door, _: tracks(door, lambda _kept: None),
    "Valkey emptied after every frame": lambda door, _: setattr(
        door, "between", lambda _number: door.valkey.flushdb()
    ),
    "another worker has the kiosk": held_by_another,
    "frames that are too old or from the future": wrong_time,
    "the database is down from some statement on": database_down,
    "a statement takes too long": database_slow,
}
EACH = 25


def test_without_a_fault_the_person_is_accepted_with_the_second_frame(entrance: Door) -> None:
    entrance.walk_up()
    assert Decision.objects.get().frames == 2
    assert Punch.objects.get().employee == entrance.employee


def test_there_are_a_thousand_of_them() -> None:
    assert len(FAULTS) * EACH >= 1_000


@pytest.mark.parametrize("name", FAULTS)
def test_not_one_punch_whatever_the_fault(entrance: Door, name: str) -> None:
    dice = random.Random(name)
    for _ in range(EACH):
        entrance.valkey.flushdb()
        with transaction.atomic(), pytest.MonkeyPatch.context() as patch:
            door = replace(entrance, eyes=Eyes(), monkeypatch=patch)
            FAULTS[name](door, dice)
            door.walk_up()
            transaction.set_rollback(False)  # after a statement that was only said to have failed
            assert not Punch.objects.exists(), name
            transaction.set_rollback(True)
