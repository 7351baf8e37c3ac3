"""A code pairs one device, once, within 15 minutes."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import redis
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from accesscontrol import kiosks
from accesscontrol.models import AuditEntry, Kiosk, PairingCode
from tests.factories import KioskFactory
from tests.kiosk.device import Device, new_key, public_der

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _throttle_starts_at_zero(valkey: redis.Redis) -> Iterator[None]:
    return iter([None])


@pytest.fixture
def kiosk() -> Kiosk:
    return KioskFactory.create()


@pytest.fixture
def code(kiosk: Kiosk) -> str:
    return kiosks.new_pairing_code(kiosk, by=None)


def pair(code: Any, public_key: Any) -> HttpResponse:
    body = json.dumps({"code": code, "public_key": public_key})
    return Client().post("/kiosk/pair", body, content_type="application/json")  # type: ignore[return-value]


def refused(response: HttpResponse) -> str:
    assert response.status_code == 400
    answer = json.loads(response.content)
    assert answer.keys() == {"code", "message"}
    return str(answer["code"])


def test_a_fresh_code_makes_the_device_this_kiosk(kiosk: Kiosk, code: str) -> None:
    key = new_key()
    response = pair(code, public_der(key))
    assert response.status_code == 201
    assert json.loads(response.content) == {
        "kiosk": str(kiosk.pk),
        "name": kiosk.name,
        "site": kiosk.site.name,
    }
    kiosk.refresh_from_db()
    assert kiosk.may_stream
    nonce = bytes(range(32))
    assert kiosks.proves_key(kiosk, nonce, Device(kiosk, key).signature(nonce))


@pytest.mark.parametrize("written", [str.lower, lambda code: code.replace("-", " ")])
def test_a_code_may_be_typed_as_people_type(code: str, written: Any) -> None:
    assert pair(written(code), public_der(new_key())).status_code == 201


def test_a_used_code_is_refused_and_changes_nothing(kiosk: Kiosk, code: str) -> None:
    pair(code, public_der(new_key()))
    kiosk.refresh_from_db()
    first = kiosk.public_key
    assert refused(pair(code, public_der(new_key()))) == "REFUSED"
    kiosk.refresh_from_db()
    assert kiosk.public_key == first


def test_a_code_older_than_15_minutes_is_refused(kiosk: Kiosk, code: str) -> None:
    PairingCode.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert refused(pair(code, public_der(new_key()))) == "REFUSED"
    kiosk.refresh_from_db()
    assert not kiosk.may_stream


def test_unknown_used_and_expired_codes_get_the_same_answer(code: str) -> None:
    unknown = pair("AAAAA-AAAAA", public_der(new_key())).content
    pair(code, public_der(new_key()))
    assert pair(code, public_der(new_key())).content == unknown


def test_of_fifty_redeems_at_once_one_succeeds(kiosk: Kiosk, code: str) -> None:
    keys = [public_der(new_key()) for _ in range(50)]

    def redeem(public_key: str) -> bool:
        try:
            kiosks.redeem_code(code, public_key)
        except kiosks.PairingError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(10) as threads:
        assert sum(threads.map(redeem, keys)) == 1
    assert AuditEntry.objects.filter(action="redeem_code").count() == 1


def spki(key: Any) -> str:
    return public_der(key)


@pytest.mark.parametrize(
    "public_key",
    [
        "AAAA",
        "not base64 !",
        "ключ",
        spki(ec.generate_private_key(ec.SECP384R1())),
        spki(ec.generate_private_key(ec.SECP256K1())),
        spki(rsa.generate_private_key(65537, 1024)),
        # A curve that no library knows.
        base64.b64encode(
            bytes.fromhex(
                "3019301306072a8648ce3d020106082a8648ce3d03017f030200 04".replace(" ", "")
            )
        ).decode(),
        # A point that does not lie on the curve.
        base64.b64encode(base64.b64decode(spki(new_key()))[:-32] + bytes(32)).decode(),
        base64.b64encode(
            new_key().private_bytes(
                serialization.Encoding.DER,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        ).decode(),
    ],
)
def test_a_key_that_is_not_p256_is_refused_and_the_code_stays_good(
    code: str, public_key: str
) -> None:
    assert refused(pair(code, public_key)) == "REFUSED"
    assert pair(code, public_der(new_key())).status_code == 201


def test_a_key_of_another_kiosk_is_refused_and_the_code_stays_good(code: str) -> None:
    key = new_key()
    other = kiosks.new_pairing_code(KioskFactory.create(), by=None)
    assert pair(other, public_der(key)).status_code == 201
    assert refused(pair(code, public_der(key))) == "REFUSED"
    assert pair(code, public_der(new_key())).status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        b"[]",
        b"7",
        b"{}",
        b'{"code": "x"}',
        b'{"code": {}, "public_key": []}',
        b'{"code": "\\u0000", "public_key": "x"}',
        b'{"code": null, "public_key": null}',
        b'{"code": "' + b"A" * 5000 + b'", "public_key": "x"}',
        b"\xff\xfe",
    ],
)
def test_a_body_that_is_no_pairing_gets_a_readable_400(body: bytes) -> None:
    response = Client().post("/kiosk/pair", body, content_type="application/json")
    assert refused(response) == "BAD_REQUEST"  # type: ignore[arg-type]


def test_reading_and_other_content_types_are_no_pairing() -> None:
    assert Client().get("/kiosk/pair").status_code == 405
    response = Client().post("/kiosk/pair", {"code": "x", "public_key": "y"})
    assert response.status_code == 415
    assert response.json()["code"] == "BAD_REQUEST"


def test_too_many_attempts_are_throttled(code: str) -> None:
    answers = [pair("AAAAA-AAAAA", "x").status_code for _ in range(21)]
    assert answers == [400] * 20 + [429]
    response = pair(code, public_der(new_key()))
    assert response.status_code == 429
    assert json.loads(response.content)["code"] == "THROTTLED"
    assert int(response["Retry-After"]) > 0


def test_pairing_needs_no_session_and_sets_no_cookie(code: str) -> None:
    assert not pair(code, public_der(new_key())).cookies
