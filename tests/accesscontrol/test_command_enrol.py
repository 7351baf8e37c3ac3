"""manage.py enrol: a person, their consent and their photos; the worker is played by the test."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accesscontrol import enrolment
from accesscontrol.models import AuditEntry, Consent, Employee, EnrolmentPhoto, Refusal, Site
from tests.factories import EmployeeFactory, ModelVersionFactory, SiteFactory, jpeg_bytes

pytestmark = pytest.mark.django_db


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "asha.jpg"
    path.write_bytes(jpeg_bytes())
    return path


def enrol(*arguments: object, site: str = "Berlin", code: int = 1) -> list[dict[str, Any]]:
    """Run the command, expecting this exit code; return its JSON lines."""
    out, err = io.StringIO(), io.StringIO()
    given = ["--site", site, "--number", "7", "--name", "Asha", *map(str, arguments)]
    found = 0
    try:
        call_command("enrol", *given, stdout=out, stderr=err)
    except SystemExit as end:
        found = int(str(end.code))
    assert found == code
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_without_a_worker_the_photo_is_kept_and_the_message_says_so(photo: Path) -> None:
    SiteFactory.create(name="Berlin")
    (line,) = enrol(photo, "--timeout", 0)
    assert set(line) == {"photo", "status", "refusal", "message"}
    assert line["photo"] == str(photo)
    assert line["status"] == "pending"
    assert "no worker answers" in line["message"]
    assert EnrolmentPhoto.objects.get().employee.name == "Asha"


def test_a_consent_is_recorded_and_says_where_it_came_from(photo: Path) -> None:
    SiteFactory.create(name="Berlin")
    enrol(photo, "--timeout", 0)
    assert Consent.objects.get().text_version == "recorded on the command line"


def test_a_consent_text_may_be_given(photo: Path) -> None:
    SiteFactory.create(name="Berlin")
    enrol(photo, "--timeout", 0, "--consent", "2026-01 signed")
    assert Consent.objects.get().text_version == "2026-01 signed"


def test_whoever_withdrew_is_not_enrolled_again_without_a_word(photo: Path) -> None:
    site = SiteFactory.create(name="Berlin")
    EmployeeFactory.create(site=site, number="7", name="Asha", withdrawn=True)
    with pytest.raises(CommandError, match=r"withdrawn consent.*--consent"):
        enrol(photo)
    with pytest.raises(CommandError, match="which consent text"):
        enrol(photo, "--consent", " ")
    assert not EnrolmentPhoto.objects.exists()

    enrol(photo, "--timeout", 0, "--consent", "2026-02 signed anew")
    assert EnrolmentPhoto.objects.count() == 1


def test_a_number_that_belongs_to_somebody_else_changes_nothing(photo: Path) -> None:
    site = SiteFactory.create(name="Berlin")
    EmployeeFactory.create(site=site, number="7", name="Björn")
    with pytest.raises(CommandError, match="belongs to Björn"):
        enrol(photo)
    assert not EnrolmentPhoto.objects.exists()
    assert not Consent.objects.exists()


def test_the_same_call_again_adds_nobody_twice(photo: Path) -> None:
    SiteFactory.create(name="Berlin")
    enrol(photo, "--timeout", 0)
    enrol(photo, "--timeout", 0)
    assert (Employee.objects.count(), EnrolmentPhoto.objects.count()) == (1, 1)


def test_a_bad_file_is_reported_and_the_others_go_in(photo: Path, tmp_path: Path) -> None:
    SiteFactory.create(name="Berlin")
    text = tmp_path / "letter.jpg"
    text.write_text("no picture")
    lines = enrol(text, tmp_path / "gone.jpg", photo, "--timeout", 0)
    assert [line["status"] for line in lines] == ["error", "error", "pending"]
    assert "letter.jpg" in lines[0]["message"]
    assert "Cannot read the file" in lines[1]["message"]


def test_the_first_site_of_an_installation_is_added_by_itself(photo: Path) -> None:
    enrol(photo, "--timeout", 0, site="Zweigstelle Köln")
    assert Site.objects.get().slug == "zweigstelle-koln"
    assert AuditEntry.objects.filter(action="add_site").exists()


def test_a_second_site_is_not(photo: Path) -> None:
    SiteFactory.create(name="Berlin")
    with pytest.raises(CommandError, match=r"No site is called “Brelin”.*Berlin"):
        enrol(photo, site="Brelin")
    assert Site.objects.count() == 1


class Worker(threading.Thread):
    """Accepts the first waiting photo and refuses every other, until stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped = threading.Event()

    def run(self) -> None:
        version = ModelVersionFactory.create()
        vector = np.zeros(192, np.float32)
        vector[0] = 1
        done = 0
        while not self.stopped.wait(0.02):
            photo = enrolment.claim_photo()
            if photo and done == 0:
                enrolled = enrolment.Enrolled(enrolment.open_photo(photo), vector, {})
                enrolment.accept_photo(photo, enrolled, version)
            elif photo:
                enrolment.refuse_photo(photo, Refusal.NO_FACE)
            done += bool(photo)
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_it_waits_for_the_worker_and_tells_of_each_photo(
    photo: Path, tmp_path: Path, valkey: object
) -> None:
    SiteFactory.create(name="Berlin")
    wall = tmp_path / "wall.jpg"
    wall.write_bytes(jpeg_bytes(colour="grey"))
    worker = Worker()
    worker.start()
    try:
        accepted, refused = enrol(photo, wall, "--timeout", 30)
        again = enrol(photo, "--timeout", 30, code=0)
    finally:
        worker.stopped.set()
        worker.join()
    assert (accepted["status"], accepted["refusal"]) == ("accepted", None)
    assert (refused["status"], refused["refusal"]) == ("refused", "NO_FACE")
    assert "from the front" in refused["message"]
    assert [line["status"] for line in again] == ["accepted"]
