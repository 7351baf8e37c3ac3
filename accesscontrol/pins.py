"""PINs: which are too easy to guess, and how one is kept.

A short PIN falls to whoever tries them all against a stolen table, however slow the hash. So it is
first keyed with a key of the installation's, which is not in the database (a pepper, NIST SP
800-63B 3.1.1.2), and then hashed slowly with a salt of its own (scrypt, RFC 7914), for whoever got
hold of both.
"""

from __future__ import annotations

import secrets
from functools import cache
from itertools import pairwise

from django.contrib.auth.hashers import ScryptPasswordHasher

from accesscontrol import crypto

SHORTEST, LONGEST = 6, 12
COMMON = frozenset({"159753", "147258", "258369", "147852", "123654", "142536", "789456", "456789"})
"""On a keypad these are patterns, no numbers."""


class PinHasher(ScryptPasswordHasher):
    """Django's scrypt with one lane: 16 MB and about 40 ms, for a person who waits at a door."""

    parallelism = 1


def weakness(pin: str, number: str = "") -> str:
    """Why this PIN will not do, in a sentence; empty if it will.

    `number` is the employee's: whoever looks over a shoulder knows it.
    """
    if not (pin.isascii() and pin.isdigit() and SHORTEST <= len(pin) <= LONGEST):
        return f"A PIN has {SHORTEST} to {LONGEST} digits, and nothing else."
    if _is_pattern(pin):
        return "This PIN is easy to guess. Choose one without a pattern."
    digits = "".join(character for character in number if character.isdigit())
    if len(digits) >= 3 and (digits in pin or pin in digits):
        return "The PIN must not contain the employee's number."
    return ""


def _is_pattern(pin: str) -> bool:
    if len(set(pin)) <= 2 or pin in COMMON:
        return True
    steps = {(int(after) - int(before)) % 10 for before, after in pairwise(pin)}
    half = len(pin) // 2
    doubled = pin[::2] == pin[1::2]
    mirrored = pin[:half] == pin[::-1][:half]
    repeated = any(
        pin == (pin[:size] * len(pin))[: len(pin)] for size in range(1, max(half, 4) + 1)
    )
    return len(steps) == 1 or repeated or mirrored or (doubled and _is_pattern_of_pairs(pin))


def _is_pattern_of_pairs(pin: str) -> bool:
    once = pin[::2]
    steps = {(int(after) - int(before)) % 10 for before, after in pairwise(once)}
    return len(steps) == 1


def random_pin(number: str = "", *, digits: int = SHORTEST) -> str:
    """A PIN that nobody chose."""
    while True:
        pin = "".join(secrets.choice("0123456789") for _ in range(digits))
        if not weakness(pin, number):
            return pin


def hashed(pin: str, key: bytes) -> str:
    """What is kept of a PIN."""
    hasher = PinHasher()
    return hasher.encode(_keyed(pin, key), hasher.salt())


def matches(pin: str, kept: str, key: bytes) -> bool:
    return PinHasher().verify(_keyed(pin, key), kept)


def waste_time(pin: str) -> None:
    """The work of a comparison where there is nothing to compare with."""
    matches(pin, _nobodys(), b"")


@cache
def _nobodys() -> str:
    return hashed(secrets.token_hex(8), b"")


def _keyed(pin: str, key: bytes) -> str:
    return crypto.keyed_digest(key, f"pin:{pin}".encode())
