"""manage.py enrol: a person and their photos from the command line."""

from __future__ import annotations

import json
import threading
import time
from argparse import ArgumentParser
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from accesscontrol import enrolment, look_alikes, sites
from accesscontrol.keyring import KeyringError
from accesscontrol.management.site_argument import add_site_argument, site_named_or_first
from accesscontrol.models import Consent, Employee, EnrolmentPhoto, PhotoStatus, Site

DEFAULT_CONSENT = "recorded on the command line"
CONSENT_LENGTH = 100
POLL_S = 0.2
LIKE = (
    "{one} looks very much like {other}: say on the employee's page whether they are two people, "
    "or whether one was enrolled twice."
)


@dataclass(frozen=True, slots=True)
class Result:
    """One photo's JSON line; `status` is accepted, refused, pending or error (not taken in)."""

    photo: str
    status: str
    refusal: str | None
    """The name of a `Refusal`, if refused."""
    message: str


class Command(BaseCommand):
    help = (
        "Enrols a person with photos and waits for a worker to process them. Prints a JSON line "
        "for each photo; exit code 0 if all were accepted."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_site_argument(parser)
        parser.add_argument("--number", required=True, help="as in the payroll")
        parser.add_argument("--name", required=True)
        parser.add_argument(
            "--consent", metavar="TEXT", help=f"what was agreed to; default “{DEFAULT_CONSENT}”"
        )
        parser.add_argument(
            "--timeout", type=float, default=60.0, metavar="SECONDS", help="for all photos; 60"
        )
        parser.add_argument("photos", nargs="+", metavar="PHOTO", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        site = site_named_or_first(options["site"], self.stderr)
        employee = _employee(site, options["number"].strip(), options["name"].strip())
        _ensure_consent(employee, options["consent"])
        if not employee.is_active:
            self.stderr.write(f"{employee} is not active and is not recognised at the door.")
        uploads = [(path, _upload(employee, path)) for path in options["photos"]]
        deadline = time.monotonic() + options["timeout"]
        results = []
        for path, upload in uploads:
            result = upload if isinstance(upload, Result) else _await(path, upload, deadline)
            results.append(result)
            self.stdout.write(json.dumps(asdict(result), ensure_ascii=False))
            self.stdout.flush()
        for like in look_alikes.resembling(employee, Employee.objects.all()):
            if like.is_to_judge:
                self.stderr.write(LIKE.format(one=employee, other=like.person))
        if any(result.status != "accepted" for result in results):
            raise SystemExit(1)


def _employee(site: Site, number: str, name: str) -> Employee:
    employee = Employee.objects.filter(site=site, number=number).first()
    if employee is None:
        try:
            return sites.save_employee(Employee(site=site, number=number, name=name), None)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
    if employee.name != name:
        raise CommandError(
            f"Number {number} at {site} belongs to {employee.name}, not to {name}. Give another "
            "number, or the name as it stands in the admin."
        )
    return employee


def _ensure_consent(employee: Employee, text: str | None) -> None:
    consents = Consent.objects.filter(employee=employee)
    if consents.filter(withdrawn_at__isnull=True).exists():
        return
    if text is None and consents.exists():
        raise CommandError(
            f"{employee} has withdrawn consent. If they agreed anew, say to what: --consent TEXT."
        )
    agreed_to = DEFAULT_CONSENT if text is None else text
    if len(agreed_to) > CONSENT_LENGTH:
        raise CommandError(f"Name the consent text in at most {CONSENT_LENGTH} characters.")
    try:
        enrolment.give_consent(employee, text_version=agreed_to, by=None)
    except enrolment.EnrolmentError as error:
        raise CommandError(str(error)) from None


def _upload(employee: Employee, path: Path) -> EnrolmentPhoto | Result:
    try:
        data = path.read_bytes()
        return enrolment.upload_photo(employee, file_name=path.name, data=data, by=None)
    except OSError as error:
        return Result(str(path), "error", None, f"Cannot read the file: {error.strerror}.")
    except enrolment.EnrolmentError as error:
        return Result(str(path), "error", None, str(error))
    except KeyringError as error:
        raise CommandError(str(error)) from None


def _await(path: Path, photo: EnrolmentPhoto, deadline: float) -> Result:
    """Wait until a worker has processed the photo; its message comes from another process, so
    the row is asked every POLL_S seconds."""
    pause = threading.Event()
    while True:
        now = EnrolmentPhoto.objects.filter(pk=photo.pk).first()
        if now is None:
            return Result(str(path), "error", None, "The photo was deleted meanwhile.")
        if now.status == PhotoStatus.ACCEPTED:
            better = enrolment.advice_on(now)
            message = f"Accepted, but another photo would serve better. {better}" if better else ""
            return Result(str(path), "accepted", None, message or "Accepted.")
        if now.status == PhotoStatus.REFUSED:
            return Result(str(path), "refused", now.refusal, enrolment.advice_on(now))
        if time.monotonic() >= deadline:
            return Result(
                str(path),
                "pending",
                None,
                "Still waiting: no worker answers. Start one with manage.py up; the photo is kept "
                "and will be processed then.",
            )
        pause.wait(POLL_S)
