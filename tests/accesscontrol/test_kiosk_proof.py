"""A kiosk proves its key by signing the server's fresh challenge. No database."""

from __future__ import annotations

import secrets
import uuid

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from accesscontrol.kiosks import PROOF_CONTEXT, proof_message, proves_key
from accesscontrol.models import Kiosk
from tests.factories import new_private_key, public_pem

KEY = new_private_key()
KIOSK = Kiosk(id=uuid.uuid4(), public_key=public_pem(KEY), paired_at=timezone.now())
NONCE = secrets.token_bytes(32)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def der_signature(message: bytes, key: ec.EllipticCurvePrivateKey = KEY) -> bytes:
    return key.sign(message, ec.ECDSA(hashes.SHA256()))


def signature(message: bytes, key: ec.EllipticCurvePrivateKey = KEY) -> bytes:
    """As WebCrypto gives it: r and s, 32 bytes each."""
    r, s = decode_dss_signature(der_signature(message, key))
    return r.to_bytes(32) + s.to_bytes(32)


GOOD = signature(proof_message(KIOSK.pk, NONCE))


def test_its_own_signature_of_the_challenge_proves_it() -> None:
    assert proves_key(KIOSK, NONCE, GOOD)


def test_the_signed_message_names_purpose_kiosk_and_challenge() -> None:
    assert proof_message(KIOSK.pk, NONCE) == PROOF_CONTEXT + KIOSK.pk.bytes + NONCE


def test_a_recorded_answer_does_not_fit_another_challenge() -> None:
    assert not proves_key(KIOSK, secrets.token_bytes(32), GOOD)


def test_an_answer_for_another_kiosk_does_not_fit() -> None:
    assert not proves_key(KIOSK, NONCE, signature(proof_message(uuid.uuid4(), NONCE)))


def test_another_key_does_not_fit() -> None:
    forged = signature(proof_message(KIOSK.pk, NONCE), new_private_key())
    assert not proves_key(KIOSK, NONCE, forged)


def test_a_signature_of_the_bare_challenge_does_not_fit() -> None:
    assert not proves_key(KIOSK, NONCE, signature(NONCE))


@pytest.mark.parametrize(
    "malformed",
    [
        b"",
        GOOD[:-1],
        GOOD + b"\0",
        GOOD + GOOD,
        der_signature(proof_message(KIOSK.pk, NONCE)),
        bytes(64),
        b"\xff" * 64,
        GOOD[32:] + GOOD[:32],
        GOOD[:32] + bytes(32),
        bytes(32) + GOOD[32:],
        ORDER.to_bytes(32) + GOOD[32:],
        GOOD[:32] + ORDER.to_bytes(32),
    ],
    ids=[
        "empty", "short", "long", "twice", "DER", "zeros", "ones", "swapped", "s zero", "r zero",
        "r order", "s order",
    ],
)  # fmt: skip
def test_a_malformed_signature_does_not_fit(malformed: bytes) -> None:
    assert not proves_key(KIOSK, NONCE, malformed)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 511))
def test_nothing_else_fits_and_nothing_crashes(noise: bytes, bit: int) -> None:
    assert not proves_key(KIOSK, NONCE, noise)
    flipped = bytearray(GOOD)
    flipped[bit // 8] ^= 1 << bit % 8
    assert not proves_key(KIOSK, NONCE, bytes(flipped))


def test_a_revoked_kiosk_proves_nothing() -> None:
    revoked = Kiosk(id=KIOSK.pk, public_key=KIOSK.public_key, revoked_at=timezone.now())
    assert not proves_key(revoked, NONCE, GOOD)


def test_a_kiosk_that_was_never_paired_proves_nothing() -> None:
    assert not proves_key(Kiosk(id=KIOSK.pk), NONCE, GOOD)
