"""Corrections: HR says whom it was; punches follow as new rows and nothing is edited."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest

from accesscontrol import audit, export
from accesscontrol.corrections import CorrectionError, Marked, correct_punch, holding
from accesscontrol.decisions import Candidate, Verdict, record_decision
from accesscontrol.export import AttendanceQuery
from accesscontrol.models import (
    AuditEntry,
    Correction,
    Decision,
    Direction,
    Employee,
    Outcome,
    Punch,
)
from tests.concurrency import at_once, errors
from tests.constraints import refused
from tests.factories import DecisionFactory, EmployeeFactory, PunchFactory, UserFactory
from tests.presentations import Door, door, evidence

NINE = datetime(2026, 11, 10, 8, 0, tzinfo=UTC)  # 09:00 in Berlin


@pytest.fixture
def entrance(db: None) -> Door:
    return door()


@pytest.fixture
def bert(entrance: Door) -> Employee:
    employee: Employee = EmployeeFactory.create(site=entrance.site, name="Bert")
    return employee


def refusal(entrance: Door, at: datetime = NINE) -> Decision:
    """The enrolled person stood there and was not recognised."""
    verdict = Verdict(Outcome.NO_MATCH, Candidate(entrance.employee.pk, 0.5))
    return record_decision(entrance.kiosk.pk, evidence(at), verdict, entrance.policy).decision


def standing(employee: Employee) -> list[tuple[datetime, str]]:
    return list(Punch.objects.standing().filter(employee=employee).values_list("at", "direction"))


class TestItWasAsha:
    def test_a_refused_person_is_punched_at_that_time(self, entrance: Door) -> None:
        by = UserFactory.create(username="rosa")
        marked = Marked(entrance.employee, " She showed me her badge ")
        correction = correct_punch(refusal(entrance), marked, by=by)
        punch = Punch.objects.get()
        assert (punch.employee, punch.at, punch.direction) == (entrance.employee, NINE, "IN")
        assert punch.correction == correction
        assert (correction.reason, correction.made_by) == ("She showed me her badge", by)
        assert Decision.objects.get().outcome == Outcome.NO_MATCH
        entry = AuditEntry.objects.get(action="correct_punch")
        assert entry.actor == "user:rosa"
        assert entry.detail["punch"] == punch.pk
        assert audit.first_broken_entry() is None

    def test_who_was_let_in_on_a_second_try_is_not_punched_twice(self, entrance: Door) -> None:
        first = refusal(entrance)
        entrance.walk_up(NINE + timedelta(seconds=5))
        correction = correct_punch(first, Marked(entrance.employee, "seen"), by=None)
        assert standing(entrance.employee) == [(NINE + timedelta(seconds=5), "IN")]
        assert not Punch.objects.filter(correction=correction).exists()

    def test_who_was_taken_for_another_is_punched_instead(
        self, entrance: Door, bert: Employee
    ) -> None:
        wrong = entrance.walk_up(NINE)
        correction = correct_punch(wrong.decision, Marked(bert, "twins"), by=None)
        assert (correction.cancels, standing(entrance.employee)) == (wrong.punch, [])
        assert standing(bert) == [(NINE, "IN")]
        assert Punch.objects.count() == 2, "the original is kept"

    def test_the_direction_follows_the_persons_own_day(
        self, entrance: Door, bert: Employee
    ) -> None:
        PunchFactory.create(employee=bert, at=NINE - timedelta(hours=3), direction="IN")
        correct_punch(entrance.walk_up(NINE).decision, Marked(bert, "twins"), by=None)
        assert standing(bert)[0] == (NINE, "OUT")

    def test_the_direction_can_be_given_and_changed(self, entrance: Door) -> None:
        accepted = entrance.walk_up(NINE).decision
        marked = Marked(entrance.employee, "went home", Direction.OUT)
        correct_punch(accepted, marked, by=None)
        assert standing(entrance.employee) == [(NINE, "OUT")]

    def test_somebody_who_has_left_since_can_still_be_named(
        self, entrance: Door, bert: Employee
    ) -> None:
        Employee.objects.filter(pk=bert.pk).update(is_active=False)
        correct_punch(refusal(entrance), Marked(bert, "seen"), by=None)
        assert standing(bert) == [(NINE, "IN")]


class TestItWasNotMe:
    def test_the_punch_is_cancelled_and_kept(self, entrance: Door) -> None:
        wrong = entrance.walk_up(NINE)
        correct_punch(wrong.decision, Marked(None, "I was ill"), by=None)
        assert standing(entrance.employee) == []
        assert Punch.objects.get() == wrong.punch

    def test_it_can_be_taken_back(self, entrance: Door) -> None:
        wrong = entrance.walk_up(NINE)
        first = correct_punch(wrong.decision, Marked(None, "I was ill"), by=None)
        again = Marked(entrance.employee, "mixed up the days", after=first.pk)
        second = correct_punch(wrong.decision, again, by=None)
        assert second.replaces == first
        assert standing(entrance.employee) == [(NINE, "IN")]
        assert Punch.objects.count() == 2

    def test_a_repeat_within_the_cool_down_has_no_punch_to_cancel(self, entrance: Door) -> None:
        entrance.walk_up(NINE)
        repeat = entrance.walk_up(NINE + timedelta(minutes=1))
        correction = correct_punch(repeat.decision, Marked(None, "not me"), by=None)
        assert correction.cancels is None
        assert standing(entrance.employee) == [(NINE, "IN")]

    def test_the_next_walk_up_goes_by_what_counts(self, entrance: Door) -> None:
        wrong = entrance.walk_up(NINE)
        correct_punch(wrong.decision, Marked(None, "not me"), by=None)
        later = entrance.walk_up(NINE + timedelta(hours=1))
        assert (later.punch and later.punch.direction) == "IN", "they have not come in yet"

    def test_the_real_person_is_punched_though_the_cancelled_punch_still_cools_down(
        self, entrance: Door
    ) -> None:
        wrong = entrance.walk_up(NINE)
        correct_punch(wrong.decision, Marked(None, "not me"), by=None)
        soon = entrance.walk_up(NINE + timedelta(minutes=1))
        assert not soon.repeat
        again = entrance.walk_up(NINE + timedelta(minutes=2))
        assert (again.repeat, again.punch) == (True, soon.punch)

    def test_a_punch_by_correction_cools_down_as_well(self, entrance: Door) -> None:
        correct_punch(refusal(entrance), Marked(entrance.employee, "seen"), by=None)
        assert entrance.walk_up(NINE + timedelta(minutes=1)).repeat


class TestRefused:
    @pytest.mark.parametrize("reason", ["", "   ", "x" * 201])
    def test_without_a_reason_or_with_an_endless_one(self, entrance: Door, reason: str) -> None:
        with pytest.raises(CorrectionError, match="how you know"):
            correct_punch(refusal(entrance), Marked(entrance.employee, reason), by=None)
        assert not Correction.objects.exists()

    def test_a_person_of_another_site(self, entrance: Door) -> None:
        stranger = EmployeeFactory.create()
        with pytest.raises(CorrectionError, match="not admitted to this site"):
            correct_punch(refusal(entrance), Marked(stranger, "seen"), by=None)
        assert not Punch.objects.exists()

    def test_not_me_where_nobody_was_recognised(self, entrance: Door) -> None:
        with pytest.raises(CorrectionError, match="Nobody was recognised"):
            correct_punch(refusal(entrance), Marked(None, "seen"), by=None)

    def test_what_the_decision_says_already(self, entrance: Door) -> None:
        accepted = entrance.walk_up(NINE).decision
        for way in (None, Direction.IN):
            with pytest.raises(CorrectionError, match="already"):
                correct_punch(accepted, Marked(entrance.employee, "yes", way), by=None)

    def test_from_a_page_that_is_out_of_date(self, entrance: Door, bert: Employee) -> None:
        decision = refusal(entrance)
        correct_punch(decision, Marked(entrance.employee, "seen"), by=None)
        with pytest.raises(CorrectionError, match="meanwhile"):
            correct_punch(decision, Marked(bert, "seen"), by=None)
        assert standing(bert) == []


class TestTwiceAndAtOnce:
    def test_the_same_word_twice_is_one_correction(self, entrance: Door) -> None:
        decision = refusal(entrance)
        first = correct_punch(decision, Marked(entrance.employee, "seen"), by=None)
        again = correct_punch(decision, Marked(entrance.employee, "seen it"), by=None)
        assert again == first
        assert Punch.objects.count() == 1
        assert AuditEntry.objects.filter(action="correct_punch").count() == 1


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_the_same_word_at_once_is_one_correction(self) -> None:
        entrance = door()
        decision = refusal(entrance)
        marked = Marked(entrance.employee, "seen")
        made = at_once([lambda: correct_punch(decision, marked, by=None)] * 8)
        assert errors(made) == []
        assert len(set(made)) == Correction.objects.count() == Punch.objects.count() == 1

    def test_two_words_at_once_are_never_both_taken(self) -> None:
        entrance = door()
        decision = refusal(entrance)
        people = [EmployeeFactory.create(site=entrance.site) for _ in range(6)]
        made = at_once(
            [partial(correct_punch, decision, Marked(p, "seen"), by=None) for p in people]
        )
        assert all(isinstance(error, CorrectionError) for error in errors(made))
        assert len(errors(made)) == 5
        assert Punch.objects.standing().count() == 1

    def test_a_walk_up_and_a_correction_of_one_person_give_one_punch(self) -> None:
        entrance = door()
        decisions = [refusal(entrance, NINE + timedelta(seconds=n)) for n in range(4)]
        marked = Marked(entrance.employee, "seen")
        made = at_once(
            [
                *(partial(correct_punch, d, marked, by=None) for d in decisions),
                *[lambda: entrance.walk_up(NINE + timedelta(seconds=9))] * 4,
            ]
        )
        assert errors(made) == []
        assert Punch.objects.count() == 1


class TestTheExport:
    DAY = date(2026, 11, 10)

    def rows(self, entrance: Door) -> list[tuple[str, ...]]:
        query = AttendanceQuery(entrance.site, self.DAY, self.DAY)
        place = export.COLUMNS.index("correction")
        return [(row[2], row[5], row[7], row[place]) for row in export.rows(query)]

    def test_it_has_what_counts_and_says_what_is_a_correction(
        self, entrance: Door, bert: Employee
    ) -> None:
        correct_punch(entrance.walk_up(NINE).decision, Marked(bert, "twins"), by=None)
        entrance.walk_up(NINE + timedelta(hours=1))
        assert self.rows(entrance) == [
            ("Bert", "IN", "09:00:00", "correction"),
            ("Asha Rao", "IN", "10:00:00", ""),
        ]


class TestConstraints:
    def made(self, entrance: Door) -> Correction:
        return correct_punch(entrance.walk_up(NINE).decision, Marked(None, "not me"), by=None)

    def test_a_correction_is_never_edited(self, entrance: Door) -> None:
        made = self.made(entrance)
        with refused("never changed"):
            Correction.objects.filter(pk=made.pk).update(reason="other")

    def test_a_correction_is_never_deleted(self, entrance: Door) -> None:
        made = self.made(entrance)
        with refused("never changed"):
            Correction.objects.filter(pk=made.pk)._raw_delete("default")

    def test_a_decision_has_one_chain_of_corrections(self, entrance: Door) -> None:
        made = self.made(entrance)
        with refused("one_first_correction_a_decision"):
            Correction.objects.create(decision=made.decision, reason="x")

    def test_a_correction_is_replaced_once(self, entrance: Door) -> None:
        made = self.made(entrance)
        Correction.objects.create(decision=made.decision, replaces=made, reason="x")
        with refused("replaces"):
            Correction.objects.create(decision=made.decision, replaces=made, reason="y")

    def test_it_replaces_one_of_its_own_decision(self, entrance: Door) -> None:
        made = self.made(entrance)
        other = DecisionFactory.create(site=entrance.site)
        with refused("correction_replaces_one_of_its_decision"):
            Correction.objects.create(decision=other, replaces=made, reason="x")

    def test_it_cancels_a_punch_of_its_own_decision(self, entrance: Door) -> None:
        punch = entrance.walk_up(NINE).punch
        other = DecisionFactory.create(site=entrance.site)
        with refused("correction_cancels_a_punch_of_its_decision"):
            Correction.objects.create(decision=other, cancels=punch, reason="x")

    def test_a_punch_is_cancelled_once(self, entrance: Door) -> None:
        made = self.made(entrance)
        with refused("cancels"):
            Correction.objects.create(
                decision=made.decision, replaces=made, cancels=made.cancels, reason="x"
            )

    def test_a_correction_has_a_reason(self, entrance: Door) -> None:
        with refused("correction_has_a_reason"):
            Correction.objects.create(decision=refusal(entrance), reason="")

    def test_its_punch_is_of_whom_it_names(self, entrance: Door, bert: Employee) -> None:
        decision = refusal(entrance)
        named = Correction.objects.create(decision=decision, employee=bert, reason="x")
        with refused("punch_of_the_corrected_employee"):
            PunchFactory.create(
                employee=entrance.employee, decision=decision, kiosk=entrance.kiosk,
                correction=named, cooling="empty",
            )  # fmt: skip

    def test_a_refused_person_has_no_punch_without_one(self, entrance: Door) -> None:
        decision = refusal(entrance)
        with refused("punch_of_the_accepted_employee"):
            PunchFactory.create(employee=entrance.employee, decision=decision, kiosk=entrance.kiosk)

    def test_a_punch_by_correction_has_no_cool_down_of_its_own(
        self, entrance: Door, bert: Employee
    ) -> None:
        decision = refusal(entrance)
        named = Correction.objects.create(decision=decision, employee=bert, reason="x")
        with refused("punch_by_correction_has_no_cool_down"):
            PunchFactory.create(
                employee=bert, decision=decision, kiosk=entrance.kiosk, correction=named
            )


def test_what_holds_is_the_newest_of_the_chain(entrance: Door, bert: Employee) -> None:
    decision = refusal(entrance)
    assert holding(decision) is None
    first = correct_punch(decision, Marked(bert, "seen"), by=None)
    second = correct_punch(decision, Marked(entrance.employee, "no", after=first.pk), by=None)
    assert holding(decision) == second
    assert standing(bert) == []
    assert standing(entrance.employee) == [(NINE, "IN")]
