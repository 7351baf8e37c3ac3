"""Punches: in or out, once in the cool-down."""

from __future__ import annotations

from datetime import datetime

from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from accesscontrol.models import Decision, Direction, Employee, Kiosk, Punch


def punch(decision: Decision, employee: Employee, kiosk: Kiosk) -> tuple[Punch, bool]:
    """Return the punch that an accepted decision leads to, and whether it was there already.

    Call within the transaction that holds the lock on the employee's row. Within the cool-down
    of the last punch that one is returned. The time is the server's, of the deciding frame's
    receipt.
    """
    at = decision.received_at
    earlier = Punch.objects.filter(employee=employee)
    # Both ways round: after a step of the server's clock a punch may lie in the near future.
    cooling = DateTimeTZRange(at, at + kiosk.site.cool_down, "[)")
    repeated = earlier.filter(cooling__overlap=cooling).first()
    if repeated:
        return repeated, True
    made = Punch.objects.create(
        decision=decision,
        employee=employee,
        site=kiosk.site,
        kiosk=kiosk,
        presentation=decision.presentation,
        direction=next_direction(employee, kiosk, at),
        at=at,
        captured_at=decision.captured_at,
        time_zone=kiosk.site.time_zone,
        cooling=cooling,
    )
    return made, False


def next_direction(employee: Employee, kiosk: Kiosk, at: datetime) -> Direction:
    """The kiosk's own direction, else the opposite of the last punch of the running shift."""
    if kiosk.direction != Kiosk.Direction.ALTERNATE:
        return Direction(kiosk.direction)
    last = Punch.objects.filter(employee=employee, at__lte=at).first()
    if last is None or last.direction == Direction.OUT:
        return Direction.IN
    forgotten = at - last.at > kiosk.site.longest_shift
    return Direction.IN if forgotten else Direction.OUT
