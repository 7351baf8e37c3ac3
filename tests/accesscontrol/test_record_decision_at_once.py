"""The same person at many doors, the same message many times: at one moment, really at once."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accesscontrol import audit, enrolment, kiosks
from accesscontrol.decisions import Candidate, KioskShutOutError, Recorded, Verdict, record_decision
from accesscontrol.models import Decision, Employee, EnrolmentPhoto, Outcome, Punch, Site, Template
from accesscontrol.sites import save_site
from tests.concurrency import at_once, errors
from tests.enrolled import unit
from tests.factories import KioskFactory, PhotoFactory, jpeg_bytes, new_private_key, public_base64
from tests.presentations import Door, door, evidence

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("valkey"),
]


@pytest.fixture
def entrance() -> Door:
    return door()


def test_one_message_twenty_times_in_fifty_threads_has_one_effect(entrance: Door) -> None:
    seen = evidence()

    def send_twenty_times() -> list[Recorded]:
        return [
            record_decision(entrance.kiosk.pk, seen, entrance.accepted, entrance.policy)
            for _ in range(20)
        ]

    results = at_once([send_twenty_times] * 50)
    assert not errors(results)
    told = [recorded for answers in results for recorded in answers]
    assert len(told) == 1_000
    assert len({recorded.decision.pk for recorded in told}) == 1
    assert Decision.objects.count() == 1
    assert Punch.objects.count() == 1
    assert audit.first_broken_entry() is None


def test_two_doors_at_the_same_moment_make_one_punch(entrance: Door) -> None:
    other = KioskFactory.create(site=entrance.site, paired=True)
    for race in range(100):
        at = timezone.now() + timedelta(hours=race)
        results = at_once(
            [functools.partial(entrance.walk_up, at, kiosk=k) for k in (entrance.kiosk, other)]
        )
        assert not errors(results)
        assert sorted(recorded.repeat for recorded in results) == [False, True]
        assert Punch.objects.count() == race + 1
    assert Decision.objects.count() == 200


def test_many_people_at_many_doors_do_not_stand_in_each_others_way() -> None:
    doors = [door() for _ in range(8)]
    results = at_once([entrance.walk_up for entrance in doors])
    assert not errors(results)
    assert Punch.objects.count() == 8
    assert audit.first_broken_entry() is None


def test_deactivating_and_entering_at_once_never_punches_somebody_inactive(entrance: Door) -> None:
    for race in range(10):
        Employee.objects.update(is_active=True)

        def deactivate() -> Any:
            return Employee.objects.filter(pk=entrance.employee.pk).update(is_active=False)

        at = timezone.now() + timedelta(hours=race)
        found, _ = at_once([functools.partial(entrance.walk_up, at), deactivate])
        accepted = found.decision.outcome == Outcome.ACCEPTED
        assert accepted == (found.punch is not None)


def test_revoking_and_deciding_at_once_ends_with_nothing_more(entrance: Door) -> None:
    results = at_once(
        [functools.partial(kiosks.revoke_kiosk, entrance.kiosk, by=None), entrance.walk_up]
    )
    assert all(isinstance(error, KioskShutOutError) for error in errors(results))
    before = Decision.objects.count()
    with pytest.raises(KioskShutOutError):
        entrance.walk_up()
    assert Decision.objects.count() == before


@pytest.fixture
def slow_audit_log() -> Iterator[None]:
    """Every entry takes 20 ms to write, so that whoever can meet does meet."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END $$;"
            "CREATE TRIGGER dawdle BEFORE INSERT ON accesscontrol_auditentry "
            "FOR EACH ROW EXECUTE FUNCTION dawdle()"
        )
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION dawdle CASCADE")


@pytest.mark.usefixtures("slow_audit_log")
class TestLocksAreTakenInOneOrder:
    """Verbs that meet at the same rows and at the audit log must never wait for one another in a
    circle: the database would end one of them with an error."""

    def walk(self, entrance: Door, outcome: Outcome, hours: int) -> Recorded:
        verdict = Verdict(outcome, Candidate(entrance.employee.pk, 0.7))
        seen = evidence(timezone.now() + timedelta(hours=hours))
        return record_decision(entrance.kiosk.pk, seen, verdict, entrance.policy)

    def test_two_kiosks_that_both_saw_one_person(self, entrance: Door) -> None:
        other = KioskFactory.create(site=entrance.site, paired=True)

        def refuse() -> None:
            verdict = Verdict(Outcome.AMBIGUOUS, Candidate(entrance.employee.pk, 0.7))
            for _ in range(8):
                record_decision(other.pk, evidence(), verdict, entrance.policy)

        def accept() -> None:
            for hour in range(8):
                self.walk(entrance, Outcome.ACCEPTED, hour)

        assert errors(at_once([refuse, accept])) == []

    def test_uploading_while_a_worker_accepts(self, entrance: Door) -> None:
        enrolled = enrolment.Enrolled(jpeg_bytes(), unit(3), {})
        photos = [PhotoFactory.create(employee=entrance.employee) for _ in range(4)]
        version = Template.objects.get().model_version
        pictures = [jpeg_bytes(64 + number) for number in range(4)]

        def upload() -> None:
            for number, data in enumerate(pictures):
                enrolment.upload_photo(
                    entrance.employee, file_name=f"{number}.jpg", data=data, by=None
                )

        def accept() -> None:
            for photo in photos:
                enrolment.accept_photo(photo, enrolled, version)

        def decide() -> None:
            for hour in range(8):
                self.walk(entrance, Outcome.ACCEPTED, hour)

        assert errors(at_once([upload, accept, decide])) == []
        assert Template.objects.count() == 5

    def test_withdrawing_while_a_worker_accepts(self) -> None:
        for _ in range(6):
            entrance = door()
            photo = PhotoFactory.create(employee=entrance.employee)
            version = Template.objects.filter(employee=entrance.employee).get().model_version
            enrolled = enrolment.Enrolled(jpeg_bytes(), unit(3), {})
            results = at_once(
                [
                    functools.partial(enrolment.accept_photo, photo, enrolled, version),
                    functools.partial(enrolment.withdraw_consent, entrance.employee, by=None),
                ]
            )
            assert errors(results) == []
            assert not Template.objects.filter(employee=entrance.employee).exists()
            assert not EnrolmentPhoto.objects.filter(employee=entrance.employee).exists()

    def test_pairing_and_revoking_while_the_kiosk_decides(self, entrance: Door) -> None:
        def decide() -> None:
            for hour in range(8):
                self.walk(entrance, Outcome.NO_MATCH, hour)

        def pair() -> None:
            for _ in range(8):
                kiosks.new_pairing_code(entrance.kiosk, by=None)

        assert errors(at_once([decide, pair])) == []

    def test_redeeming_a_code_while_the_kiosk_is_revoked(self) -> None:
        for _ in range(6):
            kiosk, code = kiosks.pair_kiosk(door().site, "Gate", by=None)
            redeem = functools.partial(kiosks.redeem_code, code, public_base64(new_private_key()))
            revoke = functools.partial(kiosks.revoke_kiosk, kiosk, by=None)
            found = errors(at_once([redeem, revoke]))
            assert all(isinstance(error, kiosks.PairingError) for error in found)

    def test_renaming_a_site_while_its_kiosk_decides(self, entrance: Door) -> None:
        def decide() -> None:
            for hour in range(8):
                self.walk(entrance, Outcome.NO_MATCH, hour)

        def rename() -> None:
            for _ in range(8):
                site = Site.objects.get(pk=entrance.site.pk)
                site.name = f"{random.random()}"
                save_site(site, None)

        assert errors(at_once([decide, rename])) == []
