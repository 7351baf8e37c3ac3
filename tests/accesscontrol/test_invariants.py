"""What the database refuses whatever the code does: punches, decisions, kiosks, thresholds."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.utils import timezone

from accesscontrol import audit
from accesscontrol.models import AuditEntry, Decision, Kiosk, PairingCode, Punch, Site, Threshold
from tests.constraints import refused
from tests.factories import (
    DecisionFactory,
    EmployeeFactory,
    KioskFactory,
    ModelVersionFactory,
    PunchFactory,
    SiteFactory,
    ThresholdFactory,
    new_private_key,
    public_pem,
)

pytestmark = pytest.mark.django_db

NOW = timezone.now()


class TestPunch:
    def test_a_presentation_has_one_punch(self) -> None:
        first = PunchFactory.create()
        other = DecisionFactory.create(accepted=True, site=first.site, kiosk=first.kiosk)
        with refused("one_punch_a_presentation"):
            PunchFactory.create(
                employee=other.employee,
                decision=other,
                kiosk=first.kiosk,
                presentation=first.presentation,
            )

    def test_a_decision_has_one_punch(self) -> None:
        first = PunchFactory.create()
        with refused("one_punch_a_decision"):
            PunchFactory.create(
                employee=first.employee,
                decision=first.decision,
                kiosk=first.kiosk,
                presentation=uuid.uuid4(),
                at=first.at + timedelta(hours=1),
            )

    def test_a_punch_is_for_the_person_of_its_decision(self) -> None:
        decision = DecisionFactory.create(accepted=True)
        other = EmployeeFactory.create(site=decision.site)
        with refused("punch_of_the_accepted_employee"):
            PunchFactory.create(employee=other, decision=decision, kiosk=decision.kiosk)

    def test_a_refused_decision_never_leads_to_a_punch(self) -> None:
        decision = DecisionFactory.create()
        someone = EmployeeFactory.create(site=decision.site)
        with refused("punch_of_the_accepted_employee"):
            PunchFactory.create(employee=someone, decision=decision, kiosk=decision.kiosk)

    @pytest.mark.parametrize("seconds", [0, 1, 299, -1, -299])
    def test_nobody_is_punched_twice_within_the_cool_down(self, seconds: int) -> None:
        first = PunchFactory.create(at=NOW)
        with refused("no_second_punch_within_the_cool_down"):
            PunchFactory.create(employee=first.employee, at=NOW + timedelta(seconds=seconds))

    @pytest.mark.parametrize("seconds", [300, -300])
    def test_at_the_end_of_the_cool_down_the_next_punch_is_possible(self, seconds: int) -> None:
        first = PunchFactory.create(at=NOW)
        PunchFactory.create(employee=first.employee, at=NOW + timedelta(seconds=seconds))

    def test_the_cool_down_holds_at_kiosks_of_two_sites(self) -> None:
        first = PunchFactory.create(at=NOW)
        elsewhere = KioskFactory.create(paired=True)
        assert elsewhere.site != first.site
        with refused("no_second_punch_within_the_cool_down"):
            PunchFactory.create(employee=first.employee, kiosk=elsewhere, at=NOW)

    def test_two_people_may_be_punched_at_one_moment(self) -> None:
        first = PunchFactory.create(at=NOW)
        PunchFactory.create(employee=EmployeeFactory.create(site=first.site), at=NOW)

    def test_a_direction_is_in_or_out(self) -> None:
        with refused("punch_direction"):
            PunchFactory.create(direction="UP")

    @pytest.mark.parametrize(
        "change",
        [
            {"at": NOW},
            {"direction": "OUT"},
            {"time_zone": "UTC"},
            {"cooling": DateTimeTZRange(NOW, NOW + timedelta(1))},
        ],
    )
    def test_a_punch_is_never_edited(self, change: dict[str, object]) -> None:
        made = PunchFactory.create()
        with refused("never changed"):
            Punch.objects.filter(pk=made.pk).update(**change)

    def test_a_punch_is_never_deleted(self) -> None:
        made = PunchFactory.create()
        with refused("never changed"):
            Punch.objects.filter(pk=made.pk).delete()


class TestDecision:
    def test_its_threshold_is_of_its_site_and_model(self) -> None:
        decision = DecisionFactory.create(accepted=True)
        elsewhere = ThresholdFactory.create(model_version=decision.model_version)
        with refused("decision_by_threshold_of_its_site_and_model"):
            DecisionFactory.create(
                accepted=True,
                site=decision.site,
                model_version=decision.model_version,
                threshold_row=elsewhere,
            )

    def test_a_presentation_has_one_decision(self) -> None:
        first = DecisionFactory.create()
        with refused("one_decision_a_presentation"):
            DecisionFactory.create(kiosk=first.kiosk, presentation=first.presentation)

    def test_the_same_presentation_at_two_kiosks_is_two(self) -> None:
        first = DecisionFactory.create()
        DecisionFactory.create(presentation=first.presentation)

    def test_an_acceptance_names_a_person(self) -> None:
        with refused("decision_names_a_person_only_if_accepted"):
            DecisionFactory.create(accepted=True, employee=None)

    def test_a_refusal_names_nobody(self) -> None:
        site = SiteFactory.create()
        with refused("decision_names_a_person_only_if_accepted"):
            DecisionFactory.create(site=site, employee=EmployeeFactory.create(site=site))

    @pytest.mark.parametrize(
        "fault",
        [
            {"score": 0.61},
            {"score": float("nan")},
            {"score": float("inf")},
            {"score": 1.5},
            {"score": None},
            {"threshold": None},
            {"threshold": float("nan")},
            {"threshold_row": None, "threshold": 0.5, "margin": 0.05, "model_version": None},
            {"model_version": None},
            {"frames": 0},
        ],
        ids=str,
    )
    def test_an_acceptance_has_all_its_evidence(self, fault: dict[str, object]) -> None:
        with refused("decision_accepted_at_or_above_the_threshold"):
            DecisionFactory.create(accepted=True, **fault)

    def test_a_score_at_the_threshold_is_enough(self) -> None:
        DecisionFactory.create(accepted=True, score=0.62, threshold=0.62)

    def test_a_decision_is_never_edited(self) -> None:
        decision = DecisionFactory.create()
        with refused("never changed"):
            Decision.objects.filter(pk=decision.pk).update(score=0.9)

    def test_a_decision_may_be_deleted_when_its_time_is_over(self) -> None:
        decision = DecisionFactory.create()
        Decision.objects.filter(pk=decision.pk)._raw_delete("default")
        assert not Decision.objects.exists()

    def test_a_decision_with_a_punch_cannot_be_deleted(self) -> None:
        made = PunchFactory.create()
        with refused("punch"):
            Decision.objects.filter(pk=made.decision_id)._raw_delete("default")


class TestThreshold:
    @pytest.mark.parametrize("value", [0, 1, -0.1, 1.5, float("nan"), float("inf"), None])
    def test_a_threshold_lies_between_0_and_1(self, value: float | None) -> None:
        with refused("threshold_between_0_and_1|not-null"):
            ThresholdFactory.create(value=value)

    @pytest.mark.parametrize("margin", [-0.01, 1, float("nan"), float("inf"), None])
    def test_a_margin_lies_between_0_and_1(self, margin: float | None) -> None:
        with refused("margin_between_0_and_1|not-null"):
            ThresholdFactory.create(margin=margin)

    def test_a_threshold_is_never_edited(self) -> None:
        row = ThresholdFactory.create()
        with refused("never changed"):
            Threshold.objects.filter(pk=row.pk).update(value=0.1)

    def test_a_threshold_is_never_deleted(self) -> None:
        row = ThresholdFactory.create()
        with refused("never changed"):
            Threshold.objects.filter(pk=row.pk).delete()


class TestModelVersion:
    def test_one_model_version_is_active(self) -> None:
        ModelVersionFactory.create()
        with refused("one_active_model_version"):
            ModelVersionFactory.create()

    def test_a_file_of_weights_is_registered_once(self) -> None:
        first = ModelVersionFactory.create()
        with refused("sha256"):
            ModelVersionFactory.create(sha256=first.sha256, is_active=False)

    def test_a_name_and_version_stand_for_one_model(self) -> None:
        first = ModelVersionFactory.create()
        with refused("model_name_and_version_once"):
            ModelVersionFactory.create(version=first.version, is_active=False)

    @pytest.mark.parametrize("sha256", ["", "0" * 63, "g" * 64, "A" * 64])
    def test_a_digest_is_64_hex_digits(self, sha256: str) -> None:
        with refused("model_sha256_is_hex"):
            ModelVersionFactory.create(sha256=sha256)

    def test_a_dimension_is_at_least_1(self) -> None:
        with refused("model_dimension_at_least_1"):
            ModelVersionFactory.create(dimension=0)


class TestKiosk:
    def test_a_key_comes_with_the_time_of_pairing(self) -> None:
        with refused("kiosk_paired_with_a_key"):
            KioskFactory.create(paired=True, paired_at=None)

    def test_nothing_is_paired_without_a_key(self) -> None:
        with refused("kiosk_paired_with_a_key"):
            KioskFactory.create(paired_at=NOW)

    def test_a_key_belongs_to_one_kiosk(self) -> None:
        pem = public_pem(new_private_key())
        KioskFactory.create(paired=True, public_key=pem)
        with refused("kiosk_key_belongs_to_one_kiosk"):
            KioskFactory.create(paired=True, public_key=pem)

    def test_many_kiosks_may_wait_for_a_key(self) -> None:
        KioskFactory.create_batch(2)

    def test_a_name_stands_for_one_kiosk_of_a_site(self) -> None:
        first = KioskFactory.create()
        KioskFactory.create(name=first.name)  # at another site
        with refused("kiosk_name_once_a_site"):
            KioskFactory.create(name=first.name, site=first.site)

    @pytest.mark.parametrize("pixels", [19, 401])
    def test_the_smallest_face_is_sensible(self, pixels: int) -> None:
        with refused("kiosk_smallest_face"):
            KioskFactory.create(smallest_face=pixels)

    def test_a_pairing_code_is_not_redeemed_late(self) -> None:
        with refused("pairing_code_redeemed_in_time"):
            PairingCode.objects.create(
                kiosk=KioskFactory.create(),
                digest="0" * 64,
                expires_at=NOW,
                redeemed_at=NOW + timedelta(microseconds=1),
            )

    def test_a_pairing_code_exists_once(self) -> None:
        code = {"digest": "0" * 64, "expires_at": NOW}
        PairingCode.objects.create(kiosk=KioskFactory.create(), **code)
        with refused("digest"):
            PairingCode.objects.create(kiosk=KioskFactory.create(), **code)

    def test_a_kiosk_with_decisions_cannot_vanish(self) -> None:
        decision = DecisionFactory.create()
        with refused("kiosk"):
            Kiosk.objects.filter(pk=decision.kiosk_id)._raw_delete("default")


class TestSiteAndEmployee:
    def test_a_number_stands_for_one_employee_of_a_site(self) -> None:
        first = EmployeeFactory.create()
        EmployeeFactory.create(number=first.number)  # at another site
        with refused("employee_number_once_a_site"):
            EmployeeFactory.create(number=first.number, site=first.site)

    @pytest.mark.parametrize("blank", ["name", "number"])
    def test_an_employee_has_a_name_and_a_number(self, blank: str) -> None:
        with refused("employee_has_number_and_name"):
            EmployeeFactory.create(**{blank: ""})

    def test_a_cool_down_lasts_a_day_at_most(self) -> None:
        with refused("site_cool_down_at_most_a_day"):
            SiteFactory.create(cool_down_s=24 * 3600 + 1)

    @pytest.mark.parametrize("hours", [0, 49])
    def test_the_longest_shift_is_sensible(self, hours: int) -> None:
        with refused("site_longest_shift"):
            SiteFactory.create(longest_shift_h=hours)

    def test_a_site_with_employees_cannot_vanish(self) -> None:
        employee = EmployeeFactory.create()
        with refused("site"):
            Site.objects.filter(pk=employee.site_id)._raw_delete("default")


class TestAuditLog:
    def test_an_entry_is_never_edited(self) -> None:
        entry = audit.record("command", "test", "site:1")
        with refused("never changed"):
            AuditEntry.objects.filter(pk=entry.pk).update(actor="nobody")

    def test_an_entry_is_never_deleted(self) -> None:
        entry = audit.record("command", "test", "site:1")
        with refused("never changed"):
            AuditEntry.objects.filter(pk=entry.pk).delete()

    def test_an_entry_has_one_successor(self) -> None:
        first = audit.record("command", "test", "site:1")
        with refused("previous_hash"):
            AuditEntry.objects.create(
                at=NOW,
                actor="a",
                action="b",
                subject="c",
                previous_hash=first.previous_hash,
                hash="0" * 64,
            )

    def test_a_hash_is_64_hex_digits(self) -> None:
        with refused("audit_hash_is_hex"):
            AuditEntry.objects.create(
                at=NOW, actor="a", action="b", subject="c", previous_hash="x", hash="x"
            )
