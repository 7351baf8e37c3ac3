"""manage.py pair_kiosk and add_site."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from accesscontrol.kiosks import PairingError, redeem_code
from accesscontrol.models import Kiosk, Site
from tests.factories import SiteFactory, new_private_key, public_base64

pytestmark = pytest.mark.django_db


def pair(*arguments: str, site: str = "Berlin") -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("pair_kiosk", f"--site={site}", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_stdout_is_the_code_alone_and_the_code_pairs_the_kiosk() -> None:
    SiteFactory.create(name="Berlin")
    out, err = pair("--name=Main entrance")
    assert out == out.strip() + "\n"
    assert "15 minutes" in err
    assert redeem_code(out.strip(), public_base64(new_private_key())).name == "Main entrance"


def test_the_same_name_is_the_same_kiosk_and_the_older_code_has_ended() -> None:
    SiteFactory.create(name="Berlin")
    older, _ = pair("--name=Main entrance")
    pair("--name=Main entrance")
    assert Kiosk.objects.count() == 1
    with pytest.raises(PairingError):
        redeem_code(older.strip(), public_base64(new_private_key()))


def test_an_entrance_may_only_let_in() -> None:
    SiteFactory.create(name="Berlin")
    pair("--name=Turnstile", "--direction=in")
    assert Kiosk.objects.get().direction == "IN"


def test_a_kiosk_needs_a_name() -> None:
    SiteFactory.create(name="Berlin")
    with pytest.raises(CommandError, match="name"):
        pair("--name= ")


def test_the_first_site_is_added_by_itself_and_told_of() -> None:
    _, err = pair("--name=Door", site="Berlin")
    assert "Added the first site" in err
    with pytest.raises(CommandError, match="No site is called"):
        pair("--name=Door", site="Hamburg")


def test_add_site_prints_the_short_name() -> None:
    out = io.StringIO()
    call_command("add_site", "--name=Werk Süd", "--time-zone=Europe/Berlin", stdout=out)
    assert out.getvalue() == "werk-sud\n"
    assert Site.objects.get().time_zone == "Europe/Berlin"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--name=A", "--time-zone=Berlin"], "is no time zone"),
        (["--name="], "blank"),
        (["--name=Berlin"], "already exists"),
    ],
)
def test_add_site_says_what_is_wrong(arguments: list[str], message: str) -> None:
    SiteFactory.create(name="Berlin")
    with pytest.raises(CommandError, match=message):
        call_command("add_site", *arguments)
