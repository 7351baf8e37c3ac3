"""Thresholds are data: set with a reason, never changed, meaningless for another model."""

from __future__ import annotations

import pytest

from accesscontrol import matching, sites, thresholds
from accesscontrol.models import AuditEntry, ModelVersion, Site, Threshold
from accesscontrol.thresholds import ThresholdError, set_threshold
from tests.factories import ModelVersionFactory, SiteFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    site: Site = SiteFactory.create()
    return site


@pytest.fixture
def version() -> ModelVersion:
    version: ModelVersion = ModelVersionFactory.create()
    return version


def put(site: Site, version: ModelVersion, value: float, margin: float = 0.05) -> Threshold:
    return set_threshold(site, version, value=value, margin=margin, reason="a test", by=None)


def test_the_newest_is_in_force_and_the_earlier_ones_stay(
    site: Site, version: ModelVersion
) -> None:
    first, second = put(site, version, 0.6), put(site, version, 0.7)
    assert thresholds.in_force(site.pk, version.pk) == second
    assert list(Threshold.objects.order_by("id")) == [first, second]


def test_without_one_there_is_none(site: Site, version: ModelVersion) -> None:
    assert thresholds.in_force(site.pk, version.pk) is None


def test_another_sites_or_another_models_does_not_count(site: Site, version: ModelVersion) -> None:
    put(SiteFactory.create(), version, 0.6)
    put(site, ModelVersionFactory.create(is_active=False), 0.6)
    assert thresholds.in_force(site.pk, version.pk) is None


def test_who_set_it_and_why_is_kept(site: Site, version: ModelVersion) -> None:
    rosa = UserFactory.create(username="rosa")
    row = set_threshold(site, version, value=0.7, margin=0.1, reason="a look-alike", by=rosa)
    assert (row.set_by, row.reason) == (rosa, "a look-alike")
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.subject) == (
        "user:rosa", "set_threshold", f"site:{site.pk}",
    )  # fmt: skip
    assert entry.detail["value"] == 0.7


@pytest.mark.parametrize("value", [0, 1, -1, 2, float("nan"), float("inf"), float("-inf")])
def test_a_threshold_lies_between_0_and_1(site: Site, version: ModelVersion, value: float) -> None:
    with pytest.raises(ThresholdError, match="A threshold lies between 0 and 1"):
        put(site, version, value)
    assert not Threshold.objects.exists()
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("margin", [-0.01, 1, float("nan"), float("inf")])
def test_a_margin_lies_between_0_and_1(site: Site, version: ModelVersion, margin: float) -> None:
    with pytest.raises(ThresholdError, match="A margin lies between 0 and 1"):
        put(site, version, 0.6, margin)
    assert not Threshold.objects.exists()


@pytest.mark.parametrize(
    ("value", "rate"),
    # Thresholds are shown with four digits, so the last of them is forgiven.
    [(0.9, 1e-6), (0.62, 1e-6), (0.6199, 1e-6), (0.6198, 1e-5), (0.42, 1e-3), (0.41, None)],
)
def test_it_says_which_measured_rate_it_reaches(
    site: Site, version: ModelVersion, value: float, rate: float | None
) -> None:
    assert put(site, version, value).false_match_rate == rate


def test_a_new_site_gets_the_default_of_the_active_model(version: ModelVersion) -> None:
    site = sites.save_site(Site(name="Plant", slug="plant"), by=None)
    row = thresholds.in_force(site.pk, version.pk)
    assert row is not None
    assert (row.value, row.margin) == (0.62, thresholds.default_margin(version))
    assert row.false_match_rate == 1e-6
    assert "calibration" in row.reason


@pytest.mark.parametrize(
    ("calibrated", "margin"),
    [
        ({"1e-5": 0.6, "1e-6": 0.66}, 0.06),
        ({"1e-5": 0.852, "1e-6": 0.873}, 0.021),
        ({"1e-6": 0.66}, matching.DEFAULT_MARGIN),
        ({"1e-5": 0.7, "1e-6": 0.66}, matching.DEFAULT_MARGIN),
        ({}, matching.DEFAULT_MARGIN),
    ],
)
def test_the_first_margin_follows_the_scale_of_the_scores(
    calibrated: dict[str, float], margin: float
) -> None:
    version = ModelVersionFactory.create(calibration={"thresholds": calibrated})
    assert thresholds.default_margin(version) == margin


def test_a_model_without_a_calibration_has_no_default(site: Site) -> None:
    bare = ModelVersionFactory.create(calibration={})
    assert thresholds.set_default(site, bare) is None
    assert thresholds.for_false_match_rate(bare, "1e-2") is None
    assert thresholds.false_match_rate_at(bare, 0.9) is None
