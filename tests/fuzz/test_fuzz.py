"""Mutated images and messages: none crashes, stalls, swells or raises what it should not.

A small part of what `make fuzz` feeds.
"""

from __future__ import annotations

import pytest

from tests.fuzz import mutations
from tests.fuzz.faulty import FAULTY, FAULTY_INPUT
from tests.fuzz.supervisor import OUTCOMES, fuzz
from tests.fuzz.targets import TARGETS

INPUTS = 2_000


@pytest.mark.parametrize("target", list(TARGETS))
def test_hostile_inputs_are_taken_or_refused(target: str) -> None:
    report = fuzz(target, INPUTS, seed=20261122)
    assert report.defects == []
    assert report.inputs == INPUTS
    assert min(report.counts["accepted"], report.counts["refused"]) > INPUTS // 20, "both are fed"


@pytest.mark.parametrize("kind", list(FAULTY))
def test_a_defect_of_each_kind_is_found_and_the_rest_fed_all_the_same(kind: str) -> None:
    inputs = 20
    report = fuzz(kind, inputs, seed=1)
    assert {name: report.counts[name] for name in OUTCOMES if report.counts[name]} == {
        kind: 1,
        "refused": inputs if kind == "swollen" else inputs - 1,
    }
    ((number, what),) = report.defects
    assert what.startswith(kind)
    if kind != "swollen":  # memory is looked at now and then only
        assert number == FAULTY_INPUT


@pytest.mark.parametrize("make", [mutations.image, mutations.message])
def test_the_same_numbers_make_the_same_input(make: object) -> None:
    assert callable(make)
    made = [make(1, number) for number in range(50)]
    assert made == [make(1, number) for number in range(50)]
    assert made != [make(2, number) for number in range(50)]
    assert len(set(made)) > 45
