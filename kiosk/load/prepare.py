"""Adds sites, people and paired kiosks to a scratch installation, in whose environment it runs."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from accesscontrol import enrolment, kiosks, sites
from accesscontrol.models import Employee, PadPolicy, PhotoStatus, Site
from kiosk import identity
from kiosk.identity import Identity

HOME_SITE = "Head office"
PATIENCE_S = 300.0
POLL_S = 0.25


def prepare(plan: dict[str, Any]) -> dict[str, Any]:
    """A site for each kiosk, with everybody in its gallery.

    Args:
        plan: `{"kiosks": number, "folder": path, "people": [{"name", "photos": [path]}]}`.

    Returns:
        `{"enrolled": [name], "identities": [path]}`: the people whose photos were accepted, and a
        file with the private key of each kiosk.

    At one site the same person at two kiosks at once would be refused at one of them; and many
    small galleries are the dearer case for the search. Without cool-down, so that every
    acceptance punches.
    """
    home = _site(HOME_SITE)
    employees = [
        _enrolled(home, str(number), person["name"], person["photos"])
        for number, person in enumerate(plan["people"])
    ]
    _wait_for_photos()
    known = [e for e in employees if e.photos.filter(status=PhotoStatus.ACCEPTED).exists()]
    identities = []
    for number in range(plan["kiosks"]):
        site = _site(f"Door {number:03d}")
        for employee in known:
            sites.admit(employee, site, None)
        path = Path(plan["folder"]) / f"{number:03d}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        identity.save(_paired(site), path)
        identities.append(str(path))
    return {"enrolled": [employee.name for employee in known], "identities": identities}


def _site(name: str) -> Site:
    # Walk-pasts are made of still portraits, which are no living faces.
    return sites.new_site(name, None, cool_down_s=0, pad_policy=PadPolicy.OFF)


def _enrolled(site: Site, number: str, name: str, photos: list[str]) -> Employee:
    employee = sites.save_employee(Employee(site=site, number=number, name=name), None)
    enrolment.give_consent(employee, text_version="benchmark", by=None)
    for photo in photos:
        data = Path(photo).read_bytes()
        enrolment.upload_photo(employee, file_name=Path(photo).name, data=data, by=None)
    return employee


def _wait_for_photos() -> None:
    deadline, pause = time.monotonic() + PATIENCE_S, threading.Event()
    while enrolment.waiting_photos() and time.monotonic() < deadline:
        pause.wait(POLL_S)


def _paired(site: Site) -> Identity:
    device = Identity.new()
    kiosk, code = kiosks.pair_kiosk(site, "Door", by=None)
    kiosks.redeem_code(code, device.public_key)
    return Identity(device.key, kiosk.pk, kiosk.name, site.name)
