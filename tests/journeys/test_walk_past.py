"""From a face before a kiosk to a row in the exported attendance, by the public commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.journeys.installation import TestInstallation

pytestmark = pytest.mark.journey


def test_an_enrolled_person_is_greeted_by_name_and_found_in_the_export(
    installation: TestInstallation, faces: dict[str, Path], walk_pasts: Path
) -> None:
    installation.add_site("Head office", "--time-zone", "Europe/Berlin")
    photos = installation.enrol("Head office", "44", "Barack Obama", faces["obama.jpg"])
    assert [photo["status"] for photo in photos] == ["accepted"]

    decisions = installation.play("Head office", "Main entrance", walk_pasts / "obama2")

    assert [(d["outcome"], d["employee"], d["direction"]) for d in decisions] == [
        ("ACCEPTED", "Barack Obama", "IN")
    ]
    rows = installation.attendance("Head office")
    assert [(row["employee_number"], row["direction"]) for row in rows] == [("44", "IN")]
    assert decisions[0]["at"].endswith(rows[0]["utc_offset"].removeprefix("UTC"))


def test_walking_past_again_within_the_cool_down_repeats_the_greeting_but_not_the_punch(
    installation: TestInstallation, faces: dict[str, Path], walk_pasts: Path
) -> None:
    installation.add_site("Cool")
    installation.enrol("Cool", "44", "Barack Obama", faces["obama.jpg"])

    decisions = installation.play("Cool", "Door", walk_pasts / "obama2", walk_pasts / "obama2")

    assert [(d["outcome"], d["repeat"]) for d in decisions] == [
        ("ACCEPTED", False),
        ("ACCEPTED", True),
    ]
    assert decisions[0]["at"] == decisions[1]["at"]
    assert len(installation.attendance("Cool")) == 1


def test_a_stranger_is_refused_without_a_name_and_leaves_no_punch(
    installation: TestInstallation, faces: dict[str, Path], walk_pasts: Path
) -> None:
    installation.add_site("Strangers")
    installation.enrol("Strangers", "44", "Barack Obama", faces["obama.jpg"])

    decisions = installation.play("Strangers", "Door", walk_pasts / "astronaut")

    assert [(d["outcome"], d["employee"]) for d in decisions] == [("NO_MATCH", None)]
    assert decisions[0]["reason"]
    assert installation.attendance("Strangers") == []


def test_an_employee_of_one_site_is_a_stranger_at_another(
    installation: TestInstallation, faces: dict[str, Path], walk_pasts: Path
) -> None:
    installation.add_site("North")
    installation.add_site("South")
    installation.enrol("North", "44", "Barack Obama", faces["obama.jpg"])
    installation.enrol("South", "46", "Joe Biden", faces["biden.jpg"])

    decisions = installation.play("South", "Door", walk_pasts / "obama2")

    assert [d["outcome"] for d in decisions] == ["NO_MATCH"]
    assert installation.attendance("South") == []


def test_at_a_site_without_employees_everybody_is_refused(
    installation: TestInstallation, walk_pasts: Path
) -> None:
    installation.add_site("Empty")

    decisions = installation.play("Empty", "Door", walk_pasts / "obama2")

    assert [d["outcome"] for d in decisions] == ["EMPTY_GALLERY"]


def test_a_photo_without_a_face_or_with_a_broken_file_is_refused_with_the_reason(
    installation: TestInstallation, faces: dict[str, Path], tmp_path: Path
) -> None:
    installation.add_site("Photos")
    broken = tmp_path / "broken.jpg"
    whole = faces["obama.jpg"].read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    garbage = tmp_path / "garbage.jpg"
    garbage.write_bytes(b"not an image at all")

    results = installation.enrol(
        "Photos", "44", "Barack Obama", broken, garbage, faces["obama.jpg"]
    )

    assert [result["status"] for result in results] == ["refused", "error", "accepted"]
    assert all(result["message"] for result in results[:2])
