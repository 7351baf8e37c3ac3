"""The content security policy is relaxed on the admin's pages and nowhere else."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

pytestmark = pytest.mark.django_db


def policy(client: Client, address: str) -> dict[str, str]:
    header = client.get(address)["Content-Security-Policy"]
    return dict(part.strip().partition(" ")[::2] for part in header.split(";"))


@pytest.mark.parametrize("name", ["index", "login", "accesscontrol_employee_changelist"])
def test_admin_pages_may_evaluate_but_not_run_inline_scripts(
    admin_client: Client, name: str
) -> None:
    client = Client() if name == "login" else admin_client
    found = policy(client, reverse(f"admin:{name}"))
    assert found["script-src"] == "'self' 'unsafe-eval'"
    assert found["style-src"] == "'self' 'unsafe-inline'"
    assert found["frame-ancestors"] == "'none'"
    assert found["object-src"] == "'none'"


@pytest.mark.parametrize("address", ["/live", "/ready", "/nowhere"])
def test_every_other_page_keeps_the_strict_policy(client: Client, address: str) -> None:
    found = policy(client, address)
    assert "unsafe" not in found["script-src"] + found["style-src"]
