"""The Django admin, a module for each noun: it parses, authorises and calls the verbs."""

from accesscontrol.admin import (
    audit_entry,
    decision,
    employee,
    kiosk,
    model_version,
    punch,
    site,
    threshold,
    user,
    visitor,
)

__all__ = [
    "audit_entry",
    "decision",
    "employee",
    "kiosk",
    "model_version",
    "punch",
    "site",
    "threshold",
    "user",
    "visitor",
]
