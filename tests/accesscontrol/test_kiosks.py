"""Pairing a kiosk, once, and shutting it out."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from django.db import connection
from django.utils import timezone

from accesscontrol import kiosks
from accesscontrol.kiosks import CODE_ALPHABET, PairingError, new_pairing_code, redeem_code
from accesscontrol.models import AuditEntry, Kiosk, KioskStatus, PairingCode
from tests.concurrency import at_once, errors
from tests.factories import (
    KioskFactory,
    SiteFactory,
    UserFactory,
    new_private_key,
    public_base64,
    public_pem,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


def a_key() -> str:
    return public_base64(new_private_key())


def in_base64(key: PublicKeyTypes) -> str:
    return base64.b64encode(
        key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    ).decode()


@pytest.fixture
def kiosk() -> Kiosk:
    kiosk: Kiosk = KioskFactory.create()
    return kiosk


class TestPairing:
    def test_a_new_name_adds_a_kiosk_with_a_code(self) -> None:
        site = SiteFactory.create()
        kiosk, code = kiosks.pair_kiosk(site, "  Main entrance ", by=None, direction="IN")
        assert (kiosk.site, kiosk.name, kiosk.direction) == (site, "Main entrance", "IN")
        assert redeem_code(code, a_key()) == kiosk

    def test_the_same_name_is_the_same_kiosk_with_a_fresh_code(self) -> None:
        site = SiteFactory.create()
        first, _ = kiosks.pair_kiosk(site, "Gate", by=None)
        second, code = kiosks.pair_kiosk(site, "Gate", by=None)
        assert first == second
        assert redeem_code(code, a_key()) == first

    def test_a_kiosk_needs_a_name(self) -> None:
        with pytest.raises(PairingError, match="name"):
            kiosks.pair_kiosk(SiteFactory.create(), "   ", by=None)
        assert not Kiosk.objects.exists()

    def test_the_device_gets_in_with_its_key(self, kiosk: Kiosk) -> None:
        key = new_private_key()
        redeem_code(new_pairing_code(kiosk, by=None), public_base64(key))
        kiosk.refresh_from_db()
        assert kiosk.may_stream
        assert kiosk.public_key == public_pem(key)
        assert kiosk.paired_at is not None

    def test_each_step_is_in_the_audit_log_without_the_code(self) -> None:
        someone = UserFactory.create(username="rosa")
        kiosk, code = kiosks.pair_kiosk(SiteFactory.create(), "Gate", by=someone)
        redeem_code(code, a_key())
        kiosks.revoke_kiosk(kiosk, by=someone)
        entries = AuditEntry.objects.order_by("id")
        assert [(entry.actor, entry.action) for entry in entries] == [
            ("user:rosa", "add_kiosk"),
            ("user:rosa", "new_pairing_code"),
            (f"kiosk:{kiosk.pk}", "redeem_code"),
            ("user:rosa", "revoke_kiosk"),
        ]
        for form in (code, code.replace("-", "")):
            assert not any(form in f"{entry.subject}{entry.detail}" for entry in entries)


class TestCode:
    def test_it_is_ten_letters_nobody_mistakes(self, kiosk: Kiosk) -> None:
        code = new_pairing_code(kiosk, by=None)
        assert re.fullmatch(f"[{CODE_ALPHABET}]{{5}}-[{CODE_ALPHABET}]{{5}}", code)
        assert not set("01OIL") & set(CODE_ALPHABET) - {"L"}

    @pytest.mark.parametrize(
        "written",
        [
            str,
            str.lower,
            lambda code: code.replace("-", ""),
            lambda code: f"  {code[:3]} {code[3:]}\n",
            lambda code: code.replace("-", "\u2013"),
        ],
        ids=["as shown", "small letters", "no dash", "spaces", "another dash"],
    )
    def test_it_may_be_typed_in_any_way(self, kiosk: Kiosk, written: object) -> None:
        assert callable(written)
        assert redeem_code(written(new_pairing_code(kiosk, by=None)), a_key()) == kiosk

    def test_it_works_once(self, kiosk: Kiosk) -> None:
        code = new_pairing_code(kiosk, by=None)
        redeem_code(code, a_key())
        with pytest.raises(PairingError, match="wrong, used or older"):
            redeem_code(code, a_key())

    def test_even_the_same_device_cannot_use_it_again(self, kiosk: Kiosk) -> None:
        code, key = new_pairing_code(kiosk, by=None), a_key()
        redeem_code(code, key)
        with pytest.raises(PairingError):
            redeem_code(code, key)

    def test_it_ends_after_fifteen_minutes(self, kiosk: Kiosk) -> None:
        code = new_pairing_code(kiosk, by=None)
        row = PairingCode.objects.get()
        assert row.expires_at - row.created_at == pytest.approx(
            timedelta(minutes=15), abs=timedelta(seconds=5)
        )
        PairingCode.objects.update(expires_at=timezone.now())
        with pytest.raises(PairingError):
            redeem_code(code, a_key())

    def test_a_new_one_ends_the_earlier_one(self, kiosk: Kiosk) -> None:
        earlier, later = (new_pairing_code(kiosk, by=None) for _ in range(2))
        with pytest.raises(PairingError):
            redeem_code(earlier, a_key())
        assert redeem_code(later, a_key()) == kiosk

    def test_those_of_other_kiosks_live_on(self, kiosk: Kiosk) -> None:
        code = new_pairing_code(kiosk, by=None)
        new_pairing_code(KioskFactory.create(), by=None)
        assert redeem_code(code, a_key()) == kiosk

    @pytest.mark.parametrize("code", ["", "-", "A" * 10, "AAAAA-AAAAA", "😀" * 10, "x" * 100_000])
    def test_a_wrong_one_gives_the_same_answer_as_a_used_one(self, kiosk: Kiosk, code: str) -> None:
        new_pairing_code(kiosk, by=None)
        with pytest.raises(PairingError, match="wrong, used or older"):
            redeem_code(code, a_key())

    def test_it_lies_nowhere_in_the_database(self, kiosk: Kiosk) -> None:
        code = new_pairing_code(kiosk, by=None)
        plain = code.replace("-", "")
        with connection.cursor() as cursor:
            cursor.execute("SELECT c::text FROM accesscontrol_pairingcode c")
            dump = str(cursor.fetchall())
            cursor.execute("SELECT a::text FROM accesscontrol_auditentry a")
            dump += str(cursor.fetchall())
        assert code not in dump
        assert plain not in dump
        assert hashlib.sha256(plain.encode()).hexdigest() not in dump

    def test_two_codes_are_not_alike(self, kiosk: Kiosk) -> None:
        assert len({new_pairing_code(kiosk, by=None) for _ in range(50)}) == 50


class TestKey:
    @pytest.mark.parametrize(
        "key",
        [
            "",
            "no base64!",
            "ünïcode",
            base64.b64encode(b"garbage").decode(),
            base64.b64encode(b"").decode(),
            in_base64(rsa.generate_private_key(65537, 2048).public_key()),
            in_base64(ed25519.Ed25519PrivateKey.generate().public_key()),
            in_base64(x25519.X25519PrivateKey.generate().public_key()),
            in_base64(ec.generate_private_key(ec.SECP384R1()).public_key()),
            in_base64(ec.generate_private_key(ec.SECP256K1()).public_key()),
            public_pem(new_private_key()),
            public_base64(new_private_key())[:-8],
        ],
        ids=[
            "empty", "no base64", "not ASCII", "garbage", "no bytes", "RSA", "Ed25519", "X25519",
            "P-384", "secp256k1", "PEM", "cut off",
        ],
    )  # fmt: skip
    def test_only_p256_is_taken(self, kiosk: Kiosk, key: str) -> None:
        code = new_pairing_code(kiosk, by=None)
        with pytest.raises(PairingError, match="ECDSA P-256"):
            redeem_code(code, key)
        assert redeem_code(code, a_key()) == kiosk, "a bad key must not use up the code"

    @pytest.mark.parametrize(
        ("known", "odd"),
        [("2a8648ce3d030107", "2a8648ce3d030177"), ("2a8648ce3d0201", "2a8648ce3d0277")],
        ids=["curve", "algorithm"],
    )
    def test_a_kind_of_key_that_nobody_knows_is_refused_too(
        self, kiosk: Kiosk, known: str, odd: str
    ) -> None:
        der = base64.b64decode(a_key()).replace(bytes.fromhex(known), bytes.fromhex(odd))
        with pytest.raises(PairingError, match="ECDSA P-256"):
            redeem_code(new_pairing_code(kiosk, by=None), base64.b64encode(der).decode())

    def test_a_point_off_the_curve_is_refused(self, kiosk: Kiosk) -> None:
        der = bytearray(base64.b64decode(a_key()))
        der[-1] ^= 1
        with pytest.raises(PairingError, match="ECDSA P-256"):
            redeem_code(new_pairing_code(kiosk, by=None), base64.b64encode(der).decode())

    def test_the_key_of_another_kiosk_is_refused(self, kiosk: Kiosk) -> None:
        key = a_key()
        redeem_code(new_pairing_code(kiosk, by=None), key)
        other = KioskFactory.create()
        with pytest.raises(PairingError, match="belongs to another kiosk"):
            redeem_code(new_pairing_code(other, by=None), key)
        other.refresh_from_db()
        assert not other.may_stream

    def test_pairing_anew_shuts_the_earlier_device_out(self, kiosk: Kiosk) -> None:
        redeem_code(new_pairing_code(kiosk, by=None), a_key())
        key = new_private_key()
        redeem_code(new_pairing_code(kiosk, by=None), public_base64(key))
        kiosk.refresh_from_db()
        assert kiosk.public_key == public_pem(key)


class TestRevoking:
    def test_a_revoked_kiosk_may_not_stream(self) -> None:
        kiosk = KioskFactory.create(paired=True)
        kiosks.revoke_kiosk(kiosk, by=None)
        kiosk.refresh_from_db()
        assert not kiosk.may_stream

    def test_it_ends_open_codes(self, kiosk: Kiosk) -> None:
        code = new_pairing_code(kiosk, by=None)
        kiosks.revoke_kiosk(kiosk, by=None)
        with pytest.raises(PairingError):
            redeem_code(code, a_key())

    def test_only_a_new_code_brings_the_kiosk_back(self) -> None:
        kiosk = KioskFactory.create(revoked=True)
        redeem_code(new_pairing_code(kiosk, by=None), a_key())
        kiosk.refresh_from_db()
        assert kiosk.may_stream


@pytest.mark.django_db(transaction=True)
def test_of_fifty_redeems_at_once_one_succeeds() -> None:
    kiosk = KioskFactory.create()
    code = new_pairing_code(kiosk, by=None)
    keys = [new_private_key() for _ in range(50)]
    results = at_once([functools.partial(redeem_code, code, public_base64(key)) for key in keys])
    winners = [key for key, result in zip(keys, results, strict=True) if result == kiosk]
    assert len(winners) == 1
    assert all(isinstance(error, PairingError) for error in errors(results))
    kiosk.refresh_from_db()
    assert kiosk.public_key == public_pem(winners[0])
    assert AuditEntry.objects.filter(action="redeem_code").count() == 1


def test_when_a_kiosk_was_seen_is_kept_beside_it() -> None:
    kiosk = KioskFactory.create(paired=True)
    kiosks.note_seen(kiosk.pk, "192.0.2.7")
    kiosks.note_seen(kiosk.pk, None)
    status = KioskStatus.objects.get()
    assert status.kiosk == kiosk
    assert status.connected_from is None
    assert status.last_seen_at is not None
