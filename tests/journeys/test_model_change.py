"""The model is changed, and changed back, while a kiosk streams and workers are killed."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.journeys.installation import TestInstallation
from tests.journeys.test_killed import streaming
from tests.plugin import MODELS_HOME
from tests.services import running_up
from tests.services import until as until_within

pytestmark = [pytest.mark.journey, pytest.mark.timeout(1800)]
PATIENCE_SECONDS = 400.0

CROWD = 40
"""People enrolled beside the one who walks: so many photos take some seconds to embed."""
SIDE = 500
ENROL_A_CROWD = """
from pathlib import Path
from accesscontrol import enrolment, sites
from accesscontrol.models import Employee, Site
photo, site = Path({photo!r}).read_bytes(), Site.objects.get(name={site!r})
for number in range({crowd}):
    person = Employee(site=site, number=f"c{{number}}", name=f"Crowd {{number}}")
    sites.save_employee(person, None)
    enrolment.give_consent(person, text_version="test", by=None)
    enrolment.upload_photo(person, file_name="photo", data=photo, by=None)
"""


@pytest.fixture
def beginning(tmp_path: Path) -> Iterator[TestInstallation]:
    """An installation that began with the first embedder alone."""
    for shared in ("models", "cache"):
        (tmp_path / shared).symlink_to(MODELS_HOME / shared)
    environment = {"GATEHOUSE_EMBEDDER": "mobilefacenet"}
    with running_up(tmp_path, "--port", "8720", environment=environment) as up:
        url = json.loads((tmp_path / "run" / "up.json").read_text())["url"]
        installation = TestInstallation(tmp_path, url, up=up)
        until(installation.is_ready, "web, database, broker and worker are ready")
        yield installation


until = partial(until_within, seconds=PATIENCE_SECONDS)


def status(installation: TestInstallation) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(installation.manage("change_model", "status", "--json"))
    return found


def photos(installation: TestInstallation, model: str) -> dict[str, int]:
    found: dict[str, int] = status(installation)["photos"][model]
    return found


def test_a_person_is_recognised_before_during_and_after_and_no_two_models_are_mixed(
    beginning: TestInstallation, faces: dict[str, Path], walk_pasts: Path, tmp_path: Path
) -> None:
    installation = beginning
    installation.add_site("Door", "--cool-down", "0")
    installation.enrol("Door", "44", "Barack Obama", faces["obama.jpg"])
    portrait = Image.open(faces["biden.jpg"])
    portrait.thumbnail((SIDE, SIDE))
    portrait.save(tmp_path / "portrait.jpg")
    photo = str(tmp_path / "portrait.jpg")
    script = ENROL_A_CROWD.format(photo=photo, site="Door", crowd=CROWD)
    installation.manage("shell", "-c", script)

    def counted(statement: str, wanted: int) -> bool:
        return bool(installation.query(statement)[0][0] >= wanted)

    accepted = "SELECT count(*) FROM accesscontrol_enrolmentphoto WHERE status = 'ACCEPTED'"
    until(partial(counted, accepted, CROWD + 1), "everybody is enrolled")
    registered = "SELECT count(*) FROM accesscontrol_modelversion"
    until(partial(counted, registered, 2), "the other model is registered")

    with streaming(installation, "Door", walk_pasts / "obama2") as decisions:

        def greetings() -> int:
            return sum(decision["outcome"] == "ACCEPTED" for decision in list(decisions))

        def greeted_more(what: str) -> None:
            wanted = greetings() + 2
            until(lambda: greetings() >= wanted, f"greetings {what}")

        greeted_more("before the change")
        installation.manage("change_model", "start", "fused")
        new = status(installation)["new"]
        made = (
            "SELECT count(*) FROM accesscontrol_template t JOIN accesscontrol_modelversion v"
            " ON v.id = t.model_version_id WHERE NOT v.is_active"
        )
        until(partial(counted, made, 1), "the first photos are embedded")
        for words in ("enrolment@", "recognition@"):
            installation.up.part(words).send_signal(signal.SIGKILL)
        assert photos(installation, new)["waiting"], "killed midway"
        greeted_more("after the workers died")
        until(partial(counted, made, CROWD + 1), "all photos are embedded")
        assert photos(installation, new)["failed"] == 0
        until(lambda: status(installation)["ready"], "the switch is possible")
        until(lambda: status(installation)["shadow"]["compared"] > 0, "a walk-up was tried on")
        assert status(installation)["shadow"]["same"] > 0

        installation.manage("change_model", "switch")
        greeted_more("after the switch")
        assert status(installation)["in_use"] == new
        installation.manage("change_model", "roll_back")
        greeted_more("after the roll back")

    assert not [d for d in decisions if d["outcome"] in ("NO_MATCH", "NOT_CALIBRATED", "ERROR")]
    assert {d["employee"] for d in decisions if d["outcome"] == "ACCEPTED"} == {"Barack Obama"}
    mixed = installation.query(
        "SELECT count(*) FILTER (WHERE d.model_version_id <> t.model_version_id),"
        " count(DISTINCT d.model_version_id) FROM accesscontrol_decision d"
        " JOIN accesscontrol_threshold t ON t.id = d.threshold_row_id"
    )
    assert mixed == [(0, 2)], "each decision by one model and its threshold, and both decided"
    templates = installation.query(
        "SELECT model_version_id, count(*), count(DISTINCT photo_id)"
        " FROM accesscontrol_template GROUP BY 1"
    )
    assert sorted(row[1:] for row in templates) == [(CROWD + 1, CROWD + 1)] * 2
