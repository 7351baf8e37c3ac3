"""Guessing PINs: five failures and a pause, fifty and a lock that HR lifts; also many at once."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from accesscontrol import credentials, pins, sign_in, throttling
from accesscontrol.decisions import Recorded
from accesscontrol.models import AuditEntry, Decision, Employee, Kiosk, Outcome, Punch, Throttle
from accesscontrol.throttling import FREE, LOCKED_FROM, PAUSE, Refused
from tests.concurrency import at_once, errors
from tests.factories import EmployeeFactory, KioskFactory
from tests.sign_ins import BADGE, OTHER_PIN, PIN, attempt, signed_in, with_pin

pytestmark = pytest.mark.django_db


@pytest.fixture
def kiosk() -> Kiosk:
    return KioskFactory.create(paired=True)


def employee_at(kiosk: Kiosk, **fields: object) -> Employee:
    employee = EmployeeFactory.create(site=kiosk.site, **fields)
    credentials.set_pin(employee, PIN, by=None)
    return employee


@pytest.fixture
def asha(kiosk: Kiosk) -> Employee:
    return employee_at(kiosk)


def fail(kiosk: Kiosk, employee: Employee, times: int) -> None:
    for _ in range(times):
        sign_in.sign_in(kiosk.pk, with_pin(employee, OTHER_PIN))


class Clock:
    """Of the throttle; the pauses pass when the test says so."""

    def __init__(self, begin: object) -> None:
        self.ahead = timedelta(0)
        self._begin = begin

    def __call__(self, subjects: list[str], tried: uuid.UUID) -> Refused | None:
        now: datetime = timezone.now() + self.ahead
        answer: Refused | None = self._begin(subjects, tried, now=now)  # type: ignore[operator]
        return answer


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(throttling.begin)
    monkeypatch.setattr(throttling, "begin", clock)
    return clock


def fail_until_locked(kiosk: Kiosk, employee: Employee, clock: Clock) -> None:
    """Fifty failures, of which the throttle alone is told: comparing PINs takes its time."""
    subjects = [throttling.of_kiosk(kiosk.pk), *throttling.subjects_of(employee)]
    for _ in range(LOCKED_FROM // FREE):
        for _ in range(FREE):
            assert clock(subjects, uuid.uuid4()) is None
        clock.ahead += PAUSE


class TestThePause:
    def test_after_five_failures_the_right_pin_is_not_looked_at(
        self, kiosk: Kiosk, asha: Employee
    ) -> None:
        fail(kiosk, asha, FREE)
        tried = with_pin(asha)
        answer = sign_in.sign_in(kiosk.pk, tried)
        assert answer == Refused(locked=False)
        message = sign_in.kiosk_message(tried, answer)
        assert message["outcome"] == "THROTTLED"
        assert "half a minute" in str(message["reason"])
        assert Decision.objects.count() == FREE, "what is not looked at is counted, not recorded"
        assert not Punch.objects.exists()

    def test_ends_after_thirty_seconds(self, kiosk: Kiosk, asha: Employee, clock: Clock) -> None:
        fail(kiosk, asha, FREE)
        clock.ahead = PAUSE - timedelta(seconds=1)
        assert isinstance(sign_in.sign_in(kiosk.pk, with_pin(asha)), Refused)
        clock.ahead = PAUSE + timedelta(seconds=1)
        assert signed_in(kiosk, with_pin(asha)).decision.outcome == Outcome.ACCEPTED

    def test_does_not_last_for_hours_when_the_clock_is_put_back(
        self, kiosk: Kiosk, asha: Employee, clock: Clock
    ) -> None:
        fail(kiosk, asha, FREE)
        clock.ahead = -timedelta(hours=1)
        assert signed_in(kiosk, with_pin(asha)).decision.outcome == Outcome.ACCEPTED

    def test_is_at_the_kiosk_for_every_number(self, kiosk: Kiosk) -> None:
        people = [employee_at(kiosk) for _ in range(FREE + 1)]
        for person in people[:FREE]:
            fail(kiosk, person, 1)
        assert isinstance(sign_in.sign_in(kiosk.pk, with_pin(people[-1])), Refused)

    def test_is_for_the_number_at_every_kiosk_of_the_site(
        self, kiosk: Kiosk, asha: Employee
    ) -> None:
        fail(kiosk, asha, FREE)
        other = KioskFactory.create(site=kiosk.site, paired=True)
        assert isinstance(sign_in.sign_in(other.pk, with_pin(asha)), Refused)
        assert signed_in(other, with_pin(employee_at(kiosk))).decision.employee

    def test_is_the_same_for_a_number_that_is_nobodys(self, kiosk: Kiosk) -> None:
        for _ in range(FREE):
            signed_in(kiosk, attempt(number="nobody", pin=PIN))
        other = KioskFactory.create(site=kiosk.site, paired=True)
        answer = sign_in.sign_in(other.pk, attempt(number="NOBODY", pin=PIN))
        assert isinstance(answer, Refused)

    def test_counts_failures_in_a_row(self, kiosk: Kiosk, asha: Employee) -> None:
        for _ in range(3):
            fail(kiosk, asha, FREE - 1)
            assert signed_in(kiosk, with_pin(asha)).decision.outcome == Outcome.ACCEPTED

    def test_counts_unknown_badges_too(self, kiosk: Kiosk) -> None:
        for place in range(FREE):
            signed_in(kiosk, attempt(badge=f"04A25F1B{place}"))
        assert isinstance(sign_in.sign_in(kiosk.pk, attempt(badge=BADGE)), Refused)

    def test_lets_a_face_pass(self, kiosk: Kiosk, asha: Employee) -> None:
        fail(kiosk, asha, FREE)
        assert kiosk.may_stream


class TestTheLock:
    def test_after_fifty_failures_waiting_does_not_help(
        self, kiosk: Kiosk, asha: Employee, clock: Clock
    ) -> None:
        fail_until_locked(kiosk, asha, clock)
        clock.ahead += timedelta(days=3)
        other = KioskFactory.create(site=kiosk.site, paired=True)
        tried = with_pin(asha)
        answer = sign_in.sign_in(other.pk, tried)
        assert answer == Refused(locked=True)
        assert "ask HR" in str(sign_in.kiosk_message(tried, answer)["reason"])
        locked = AuditEntry.objects.filter(action="lock_sign_in")
        assert locked.count() == 2, "the kiosk and the number"

    def test_leaves_the_badge_as_the_other_factor(
        self, kiosk: Kiosk, asha: Employee, clock: Clock
    ) -> None:
        credentials.add_badge(asha, BADGE, by=None)
        fail_until_locked(kiosk, asha, clock)
        other = KioskFactory.create(site=kiosk.site, paired=True)
        assert signed_in(other, attempt(badge=BADGE)).decision.employee == asha

    def test_is_seen_and_lifted_by_hr(self, kiosk: Kiosk, asha: Employee, clock: Clock) -> None:
        fail_until_locked(kiosk, asha, clock)
        (lockout,) = throttling.lockouts(throttling.subjects_of(asha))
        assert lockout.locked
        assert throttling.lift_of_employee(asha, by=None)
        assert throttling.lift_of_kiosk(kiosk, by=None)
        assert signed_in(kiosk, with_pin(asha)).decision.outcome == Outcome.ACCEPTED
        assert not throttling.lift_of_employee(asha, by=None)
        assert AuditEntry.objects.filter(action="lift_sign_in_lock").count() == 2

    def test_ends_with_a_new_pin(self, kiosk: Kiosk, asha: Employee, clock: Clock) -> None:
        fail_until_locked(kiosk, asha, clock)
        credentials.set_pin(asha, OTHER_PIN, by=None)
        other = KioskFactory.create(site=kiosk.site, paired=True)
        assert signed_in(other, with_pin(asha, OTHER_PIN)).decision.employee == asha


def test_failures_of_yesterday_are_forgotten(kiosk: Kiosk, asha: Employee, clock: Clock) -> None:
    fail(kiosk, asha, FREE - 1)
    clock.ahead = timedelta(days=1, seconds=1)
    fail(kiosk, asha, 1)
    assert set(Throttle.objects.values_list("failures", flat=True)) == {1}


def test_numbers_are_not_kept_in_clear_as_people_type_their_pin_there(kiosk: Kiosk) -> None:
    signed_in(kiosk, attempt(number=PIN, pin=PIN))
    rows = [*Throttle.objects.values_list("subject", flat=True)]
    rows += [str(row.evidence) for row in Decision.objects.all()]
    rows += [str(row.detail) for row in AuditEntry.objects.all()]
    assert not [row for row in rows if PIN in row]


def test_the_work_is_the_same_whether_or_not_the_number_is_somebodys(
    kiosk: Kiosk, asha: Employee, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted, not timed."""
    credentials.matching_pin("000000", [])  # the first time makes what there is to compare with
    worked: list[str] = []
    encode = pins.PinHasher.encode

    def counted(hasher: pins.PinHasher, *arguments: Any) -> str:
        worked.append("scrypt")
        return str(encode(hasher, *arguments))

    monkeypatch.setattr(pins.PinHasher, "encode", counted)
    without = EmployeeFactory.create(site=kiosk.site)
    for tried in (
        with_pin(asha, OTHER_PIN),
        with_pin(without),
        attempt(number="nobody", pin=PIN),
        with_pin(asha),
    ):
        worked.clear()
        signed_in(kiosk, tried)
        assert worked == ["scrypt"]


class TestAtOnce:
    @pytest.fixture
    def kiosk(self, transactional_db: None) -> Kiosk:
        return KioskFactory.create(paired=True)

    def test_fifty_guesses_are_five(self, kiosk: Kiosk, asha: Employee) -> None:
        works = [
            partial(sign_in.sign_in, kiosk.pk, with_pin(asha, f"83026{n:02}")) for n in range(50)
        ]
        answers = at_once(works)
        assert not errors(answers)
        assert sum(isinstance(answer, Recorded) for answer in answers) == FREE
        assert Decision.objects.count() == FREE
        assert Throttle.objects.get(subject=f"kiosk:{kiosk.pk}").failures == FREE

    def test_the_same_attempt_fifty_times_is_one_punch(self, kiosk: Kiosk, asha: Employee) -> None:
        tried = with_pin(asha)
        answers = at_once([partial(sign_in.sign_in, kiosk.pk, tried)] * 50)
        assert not errors(answers)
        assert {answer.decision.outcome for answer in answers} == {Outcome.ACCEPTED}
        assert Decision.objects.count() == Punch.objects.count() == 1

    def test_the_same_person_at_many_kiosks_is_one_punch(
        self, kiosk: Kiosk, asha: Employee
    ) -> None:
        doors = [KioskFactory.create(site=kiosk.site, paired=True) for _ in range(FREE)]
        answers = at_once([partial(sign_in.sign_in, one.pk, with_pin(asha)) for one in doors])
        assert not errors(answers)
        assert Decision.objects.filter(outcome=Outcome.ACCEPTED).count() == FREE
        assert Punch.objects.count() == 1

    def test_a_pin_revoked_meanwhile_lets_nobody_in_after_the_commit(
        self, kiosk: Kiosk, asha: Employee
    ) -> None:
        works = [partial(sign_in.sign_in, kiosk.pk, with_pin(asha)) for _ in range(4)]
        revoke = partial(credentials.revoke_pin, asha, by=None)
        assert not errors(at_once([*works, revoke]))
        ended = asha.pins.get().ended_at
        assert ended is not None
        late = Decision.objects.filter(outcome=Outcome.ACCEPTED, decided_at__gt=ended)
        assert not late.exists()
