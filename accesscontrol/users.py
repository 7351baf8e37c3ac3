"""Logins of the admin."""

from __future__ import annotations

import secrets

from django.db import transaction

from accesscontrol import audit
from accesscontrol.models import User


@transaction.atomic
def reset_login(username: str) -> str:
    """Give an administrator's login a new random password, and return it.

    The login is added if it is new. Sessions and the password that it had before end now.
    """
    password = secrets.token_urlsafe(15)
    user, _ = User.objects.get_or_create(username=username)
    user.is_staff = user.is_superuser = user.is_active = True
    user.set_password(password)
    user.save()
    audit.record("command", "reset_login", f"user:{user.pk}", {"username": username})
    return password
