"""People who sign in with PIN or badge."""

from __future__ import annotations

import uuid
from typing import Any

from accesscontrol import sign_in
from accesscontrol.decisions import Recorded
from accesscontrol.models import Employee, Kiosk
from accesscontrol.sign_in import Attempt

PIN = "274918"
OTHER_PIN = "830264"
BADGE = "04A2:5F1B:9C"


def attempt(**fields: Any) -> Attempt:
    return Attempt(**{"id": uuid.uuid4(), **fields})


def with_pin(employee: Employee, pin: str = PIN, **fields: Any) -> Attempt:
    return attempt(number=employee.number, pin=pin, **fields)


def signed_in(kiosk: Kiosk, tried: Attempt) -> Recorded:
    """What was recorded; fails where the attempt was not looked at."""
    answer = sign_in.sign_in(kiosk.pk, tried)
    assert isinstance(answer, Recorded), answer
    return answer
