"""Kiosks in the admin: state, pairing code, revocation, counters."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import redis
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accesscontrol.kiosks import new_pairing_code, redeem_code
from accesscontrol.models import AuditEntry, Kiosk, KioskStatus, PairingCode
from tests.factories import KioskFactory, SiteFactory, new_private_key, public_base64

pytestmark = pytest.mark.django_db
WHOLE_PICTURE = {"zone_left": 0, "zone_top": 0, "zone_right": 100, "zone_bottom": 100}
LIST = "admin:accesscontrol_kiosk_changelist"


def url(name: str, kiosk: Kiosk) -> str:
    return reverse(f"admin:accesscontrol_kiosk_{name}", args=[kiosk.pk])


def test_a_kiosk_is_added_by_the_verb(admin_client: Client) -> None:
    site = SiteFactory.create()
    fields = {
        "site": site.pk,
        "name": "Gate",
        "direction": "IN",
        "smallest_face": 40,
        **WHOLE_PICTURE,
    }
    admin_client.post(reverse("admin:accesscontrol_kiosk_add"), fields)
    assert Kiosk.objects.get().name == "Gate"
    assert AuditEntry.objects.filter(action="add_kiosk", actor="user:admin").exists()


def test_a_kiosk_stays_at_its_site(admin_client: Client) -> None:
    kiosk, other = KioskFactory.create(), SiteFactory.create()
    fields = {
        "site": other.pk,
        "name": "Renamed",
        "direction": "OUT",
        "smallest_face": 40,
        **WHOLE_PICTURE,
    }
    admin_client.post(url("change", kiosk), fields)
    before = kiosk.site_id
    kiosk.refresh_from_db()
    assert (kiosk.name, kiosk.direction, kiosk.site_id) == ("Renamed", "OUT", before)


def test_the_list_tells_the_states_apart(admin_client: Client) -> None:
    now = timezone.now()
    KioskFactory.create(name="new")
    KioskFactory.create(name="gone", revoked=True)
    new_pairing_code(KioskFactory.create(name="soon"), by=None)
    fresh, silent = KioskFactory.create(paired=True), KioskFactory.create(paired=True)
    KioskStatus.objects.create(kiosk=fresh, last_seen_at=now)
    KioskStatus.objects.create(kiosk=silent, last_seen_at=now - timedelta(hours=1))
    text = admin_client.get(reverse(LIST)).content.decode()
    for state in ("not paired", "revoked", "code waiting", "paired, silent"):
        assert state in text


def test_the_code_is_made_by_post_shown_large_and_pairs_a_device(admin_client: Client) -> None:
    kiosk = KioskFactory.create()
    asked = admin_client.get(url("pair", kiosk))
    assert "15 minutes" in asked.content.decode()
    assert not PairingCode.objects.exists()

    answer = admin_client.post(url("pair", kiosk), headers={"host": "localhost:8000"})
    text = answer.content.decode()
    found = re.search(r'id="pairing-code">([A-Z0-9-]+)<', text)
    assert found is not None
    assert "http://localhost:8000/kiosk/" in text
    assert "<svg" in text
    assert "this computer only" in text
    assert "no-store" in answer["Cache-Control"]
    assert redeem_code(found[1], public_base64(new_private_key())) == kiosk


def test_a_new_code_does_not_put_out_the_device_that_is_paired(admin_client: Client) -> None:
    kiosk = KioskFactory.create(paired=True)
    admin_client.post(url("pair", kiosk))
    kiosk.refresh_from_db()
    assert kiosk.may_stream


def test_revoking_asks_first_and_then_shuts_the_kiosk_out(admin_client: Client) -> None:
    kiosk = KioskFactory.create(paired=True)
    assert "disconnected at once" in admin_client.get(url("revoke", kiosk)).content.decode()
    admin_client.post(url("revoke", kiosk))
    kiosk.refresh_from_db()
    assert not kiosk.may_stream
    assert AuditEntry.objects.filter(action="revoke_kiosk", actor="user:admin").exists()


def test_the_frame_counters_are_shown(admin_client: Client, valkey: redis.Redis) -> None:
    kiosk = KioskFactory.create(paired=True)
    valkey.hset(f"slots:count:{kiosk.pk}", mapping={"received": 4711, "expired": 13})
    text = admin_client.get(url("change", kiosk)).content.decode()
    assert "4711" in text
    assert "13" in text


def test_the_page_opens_without_redis(admin_client: Client, settings: object) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"  # type: ignore[attr-defined]
    text = admin_client.get(url("change", KioskFactory.create(paired=True))).content.decode()
    assert "Redis does not answer" in text


class TestWhoStandsBeforeIt:
    def post(self, client: Client, **fields: object) -> str:
        kiosk = KioskFactory.create()
        form = {"name": kiosk.name, "direction": "IN", "smallest_face": 40, **WHOLE_PICTURE}
        return client.post(url("change", kiosk), form | fields).content.decode()

    def test_near_far_and_zone_are_saved_and_on_record(self, admin_client: Client) -> None:
        zone = {"zone_left": 20, "zone_top": 0, "zone_right": 70, "zone_bottom": 90}
        self.post(admin_client, deciding_face=80, **zone)
        kiosk = Kiosk.objects.get()
        assert (kiosk.smallest_face, kiosk.deciding_face) == (40, 80)
        assert (kiosk.zone_left, kiosk.zone_right, kiosk.zone_bottom) == (20, 70, 90)
        recorded = AuditEntry.objects.get(action="change_kiosk").detail
        assert (recorded["deciding_face"], recorded["zone"]) == (80, [20, 0, 70, 90])

    def test_left_empty_the_smallest_face_is_near_enough(self, admin_client: Client) -> None:
        self.post(admin_client, deciding_face="")
        assert Kiosk.objects.get().deciding_face is None

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"deciding_face": 39}, "at least as wide as the smallest face"),
            ({"zone_left": 50, "zone_right": 55}, "at least a tenth of the picture"),
            ({"zone_top": 90, "zone_bottom": 10}, "at least a tenth of the picture"),
            ({"zone_right": 101}, "less than or equal to 100"),
        ],
    )
    def test_what_cannot_be_is_refused_with_a_reason(
        self, admin_client: Client, fields: dict[str, int], message: str
    ) -> None:
        assert message in self.post(admin_client, **fields)
        assert Kiosk.objects.get().deciding_face is None

    def test_the_page_says_what_the_zone_is(self, admin_client: Client) -> None:
        page = admin_client.get(url("change", KioskFactory.create())).content.decode()
        assert "neither compared nor shown" in page
