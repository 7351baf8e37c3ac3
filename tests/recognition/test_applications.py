"""Verification and identification as functions: what is compared, and the outcomes' words."""

from __future__ import annotations

import math

import numpy as np
import pytest

from accesscontrol.matching import DEFAULT_MARGIN, Match
from recognition.identification import LOWEST_QUALITY, identify
from recognition.search import Gallery, Vectors
from recognition.verification import NotCalibratedError, OperatingPoint, verify
from tests.galleries import CALIBRATION

POINT = OperatingPoint.at(CALIBRATION, "1e-4")


def at_angles(*cosines: float) -> Vectors:
    """Vectors with these cosines to the first axis."""
    rows = [[cosine, math.sqrt(1 - cosine**2), 0] for cosine in cosines]
    return np.array(rows, np.float32)


AXIS = at_angles(1)[0]
NOT_SEEN_BEFORE = np.array([0, 0, 1], np.float32)


class TestTheOperatingPoint:
    def test_it_is_the_calibrated_threshold_and_a_new_sites_margin(self) -> None:
        assert POINT.threshold == 0.5
        assert POINT.margin == pytest.approx(0.06)

    def test_a_rate_that_was_not_calibrated_is_refused_and_the_known_ones_are_named(self) -> None:
        with pytest.raises(NotCalibratedError, match="1e-2, 1e-3, 1e-4"):
            OperatingPoint.at(CALIBRATION, "1e-9")

    def test_without_any_calibration_there_is_none(self) -> None:
        with pytest.raises(NotCalibratedError, match="only for none"):
            OperatingPoint.at({}, "1e-4")

    def test_where_the_scale_is_not_known_the_margin_is_the_default(self) -> None:
        assert OperatingPoint.at({"thresholds": {"1e-2": 0.4}}, "1e-2").margin == DEFAULT_MARGIN


class TestVerification:
    @pytest.mark.parametrize(("score", "same"), [(0.49, False), (0.51, True), (-0.3, False)])
    def test_from_the_threshold_on_they_are_one_person(self, score: float, same: bool) -> None:
        found = verify(AXIS, at_angles(score)[0], POINT, CALIBRATION)
        assert found.same is same
        assert found.score == pytest.approx(score, abs=1e-6)

    def test_the_likeness_is_said_as_the_share_of_strangers_as_alike(self) -> None:
        found = verify(AXIS, at_angles(0.42)[0], POINT, CALIBRATION)
        assert found.stranger_share == pytest.approx(1e-3, rel=1e-3)
        assert not found.is_bound

    def test_beyond_what_was_measured_it_is_a_bound(self) -> None:
        found = verify(AXIS, AXIS, POINT, CALIBRATION)
        assert found.stranger_share == pytest.approx(1e-6)
        assert found.is_bound

    def test_what_is_no_number_is_nobodys_match(self) -> None:
        found = verify(AXIS, AXIS * np.nan, POINT, CALIBRATION)
        assert not found.same
        assert found.stranger_share is None

    def test_the_order_of_the_two_does_not_count(self) -> None:
        one, other = at_angles(0.3, 0.9)
        assert verify(one, other, POINT, CALIBRATION) == verify(other, one, POINT, CALIBRATION)


class TestIdentification:
    def outcome(self, *people: float, quality: float = 0.9) -> Match:
        """Of a search of the first axis among people with these cosines."""
        rows = {f"p{number}": [row] for number, row in enumerate(at_angles(*people))}
        (found,) = identify(Gallery.of(rows), AXIS[None], [quality], POINT)
        assert (found.name is None) is (found.outcome is not Match.ACCEPTED)
        return found.outcome

    def test_the_only_one_near_is_accepted(self) -> None:
        assert self.outcome(0.8, 0.2) is Match.ACCEPTED
        assert self.outcome(0.8) is Match.ACCEPTED

    def test_below_the_threshold_it_is_a_stranger(self) -> None:
        assert self.outcome(0.49, 0.2) is Match.NO_MATCH

    def test_two_within_the_margin_are_ambiguous_whoever_leads(self) -> None:
        assert self.outcome(0.8, 0.75) is Match.AMBIGUOUS
        assert self.outcome(0.75, 0.8) is Match.AMBIGUOUS
        assert self.outcome(0.8, 0.73) is Match.ACCEPTED

    def test_one_persons_many_templates_are_not_ambiguous(self) -> None:
        gallery = Gallery.of({"Anna": list(at_angles(0.8, 0.79)), "Bert": [NOT_SEEN_BEFORE]})
        (found,) = identify(gallery, AXIS[None], [0.9], POINT)
        assert found.name == "Anna"

    def test_a_poor_picture_is_no_evidence_however_near(self) -> None:
        assert self.outcome(0.9, quality=LOWEST_QUALITY - 0.01) is Match.LOW_QUALITY
        assert self.outcome(0.9, quality=math.nan) is Match.LOW_QUALITY

    def test_nobody_enrolled_is_said(self) -> None:
        (found,) = identify(Gallery.of({}), AXIS[None], [0.9], POINT)
        assert (found.outcome, found.name) == (Match.EMPTY_GALLERY, None)

    def test_to_see_one_candidate_does_not_hide_the_second_from_the_rule(self) -> None:
        rows = dict(zip("ab", [[row] for row in at_angles(0.8, 0.79)], strict=True))
        (found,) = identify(Gallery.of(rows), AXIS[None], [0.9], POINT, most=1)
        assert found.outcome is Match.AMBIGUOUS
        assert len(found.candidates) == 1
