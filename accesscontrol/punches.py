"""Punches: in or out, once in the cool-down."""

from __future__ import annotations

from datetime import datetime

from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.db.models import Q

from accesscontrol.models import Decision, Direction, Employee, Kiosk, Punch, Site

EMPTY = DateTimeTZRange(empty=True)


def punch(decision: Decision, employee: Employee, kiosk: Kiosk) -> tuple[Punch, bool]:
    """Return the punch that an accepted decision leads to, and whether it was there already.

    Call within the transaction that holds the lock on the employee's row. Within the cool-down
    of the last punch that one is returned. The time is the server's, of the deciding frame's
    receipt.
    """
    at = decision.received_at
    # Both ways round: after a step of the server's clock a punch may lie in the near future.
    cooling = DateTimeTZRange(at, at + kiosk.site.cool_down, "[)")
    repeated = near(employee, at, kiosk.site)
    if repeated:
        return repeated, True
    # The database keeps what a correction cancelled, and would refuse another one beside it.
    beside = Punch.objects.filter(employee=employee, cooling__overlap=cooling).exists()
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
        cooling=EMPTY if beside else cooling,
    )
    return made, False


def near(employee: Employee, at: datetime, site: Site) -> Punch | None:
    """The person's punch that counts and still cools down at this moment, or None.

    A punch by correction, or beside a cancelled one, has no cool-down of its own: it is taken by
    its distance.
    """
    cooling = DateTimeTZRange(at, at + site.cool_down, "[)")
    around = Q(cooling__isempty=True, at__gt=at - site.cool_down, at__lt=at + site.cool_down)
    standing = Punch.objects.standing().filter(employee=employee)
    return standing.filter(Q(cooling__overlap=cooling) | around).first()


def next_direction(employee: Employee, kiosk: Kiosk, at: datetime) -> Direction:
    """The kiosk's own direction, else the opposite of the last punch of the running shift."""
    if kiosk.direction != Kiosk.Direction.ALTERNATE:
        return Direction(kiosk.direction)
    last = Punch.objects.standing().filter(employee=employee, at__lte=at).first()
    if last is None or last.direction == Direction.OUT:
        return Direction.IN
    forgotten = at - last.at > kiosk.site.longest_shift
    return Direction.IN if forgotten else Direction.OUT
