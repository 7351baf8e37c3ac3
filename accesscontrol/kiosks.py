"""Kiosks: pairing, proof of key, revocation."""

from __future__ import annotations

import base64
import hashlib
import secrets
from datetime import datetime, timedelta
from uuid import UUID

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from django.db import IntegrityError, transaction
from django.utils import timezone

from accesscontrol import audit, notify
from accesscontrol.models import Kiosk, KioskStatus, PairingCode, Site, User

CODE_LIFETIME = timedelta(minutes=15)
# No letters or digits that a person mistakes for one another; 10 of 31 are 49 bits.
CODE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
CODE_LENGTH = 10
PROOF_CONTEXT = b"gatehouse kiosk proof v1\0"


class PairingError(Exception):
    """The code or the key was not accepted; the message says what to do."""


@transaction.atomic
def pair_kiosk(
    site: Site, name: str, *, by: User | None, direction: str = Kiosk.Direction.ALTERNATE
) -> tuple[Kiosk, str]:
    """Return the site's kiosk of this name (added if it is new) and a fresh pairing code."""
    name = name.strip()
    if not name:
        raise PairingError("Give the kiosk a name, for example “Main entrance”.")
    kiosk = Kiosk.objects.filter(site=site, name=name).first()
    if kiosk is None:
        kiosk = Kiosk.objects.create(site=site, name=name, direction=direction)
        audit.record(audit.actor_of(by), "add_kiosk", f"kiosk:{kiosk.pk}", {"site": site.pk})
    return kiosk, new_pairing_code(kiosk, by=by)


@transaction.atomic
def new_pairing_code(kiosk: Kiosk, *, by: User | None) -> str:
    """Make a single-use code for 15 minutes, in the form ABCDE-FGHJK; earlier ones end now."""
    code = "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH))
    PairingCode.objects.filter(kiosk=kiosk, redeemed_at__isnull=True).delete()
    PairingCode.objects.create(
        kiosk=kiosk, digest=_digest(code), expires_at=timezone.now() + CODE_LIFETIME
    )
    audit.record(audit.actor_of(by), "new_pairing_code", f"kiosk:{kiosk.pk}")
    return f"{code[:5]}-{code[5:]}"


def redeem_code(code: str, public_key: str) -> Kiosk:
    """Register a device's public key in exchange for its code.

    `public_key` is base64 of the SubjectPublicKeyInfo (DER) of an ECDSA P-256 key. Of many
    redeems at once one succeeds. Raises PairingError for a bad key and for a code that is
    unknown, used or expired, without telling which.
    """
    pem = _pem(public_key)
    now = timezone.now()
    try:
        with transaction.atomic():
            row = _lock_code(code, now)
            if row is None:
                raise PairingError(
                    "This pairing code is wrong, used or older than 15 minutes. "
                    "Make a new one in the admin, on the kiosk's page."
                )
            row.redeemed_at = now
            row.save(update_fields=["redeemed_at"])
            kiosk = row.kiosk
            kiosk.public_key, kiosk.paired_at, kiosk.revoked_at = pem, now, None
            kiosk.save(update_fields=["public_key", "paired_at", "revoked_at"])
            audit.record(f"kiosk:{kiosk.pk}", "redeem_code", f"kiosk:{kiosk.pk}")
            # A device that held the key until now must not go on streaming with it.
            transaction.on_commit(lambda: notify.close_kiosk(kiosk.pk, "paired anew"))
    except IntegrityError:
        raise PairingError(
            "This device's key belongs to another kiosk. Reset the pairing on the device first."
        ) from None
    return kiosk


def _lock_code(code: str, now: datetime) -> PairingCode | None:
    """The valid code of these letters, its kiosk locked first as in `revoke_kiosk`; else None."""
    codes = PairingCode.objects.filter(
        digest=_digest(code), redeemed_at__isnull=True, expires_at__gt=now
    )
    kiosk_id = codes.values_list("kiosk", flat=True).first()
    if kiosk_id is None:
        return None
    Kiosk.objects.select_for_update(no_key=True).get(pk=kiosk_id)
    return codes.select_for_update(of=("self",)).select_related("kiosk", "kiosk__site").first()


@transaction.atomic
def revoke_kiosk(kiosk: Kiosk, *, by: User | None) -> None:
    """Shut a kiosk out, its open stream included; only a new pairing code brings it back."""
    Kiosk.objects.filter(pk=kiosk.pk).update(revoked_at=timezone.now())
    PairingCode.objects.filter(kiosk=kiosk, redeemed_at__isnull=True).delete()
    audit.record(audit.actor_of(by), "revoke_kiosk", f"kiosk:{kiosk.pk}")
    transaction.on_commit(lambda: notify.close_kiosk(kiosk.pk, "revoked"))


def proof_message(kiosk_id: UUID, nonce: bytes) -> bytes:
    """The bytes that a kiosk signs to prove its key: context, kiosk and the server's nonce."""
    return PROOF_CONTEXT + kiosk_id.bytes + nonce


def proves_key(kiosk: Kiosk, nonce: bytes, signature: bytes) -> bool:
    """Whether `signature` (r and s, 32 bytes each, as WebCrypto gives it) is this kiosk's."""
    if not kiosk.may_stream or len(signature) != 64:
        return False
    key = serialization.load_pem_public_key(kiosk.public_key.encode())
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    try:
        message = proof_message(kiosk.pk, nonce)
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def note_seen(kiosk_id: UUID, address: str | None) -> None:
    """Remember when and from where a kiosk was last connected."""
    KioskStatus.objects.update_or_create(
        kiosk_id=kiosk_id, defaults={"last_seen_at": timezone.now(), "connected_from": address}
    )


def _digest(code: str) -> str:
    plain = "".join(c for c in code.upper() if c.isalnum())
    return hashlib.sha256(f"pairing:{plain}".encode()).hexdigest()


def _pem(public_key: str) -> str:
    problem = "The public key must be an ECDSA P-256 key, SubjectPublicKeyInfo in base64."
    try:
        key = serialization.load_der_public_key(base64.b64decode(public_key, validate=True))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise PairingError(problem) from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise PairingError(problem)
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()
