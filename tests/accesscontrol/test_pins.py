"""PINs: what will not do, and that what is kept says nothing without the installation's key."""

from __future__ import annotations

import secrets

import pytest

from accesscontrol import pins


@pytest.mark.parametrize(
    "pin",
    ["111111", "121212", "123456", "654321", "890123", "246802", "123123", "112233", "123321",
     "100001", "123412", "147258", "007007", "4444443"],
)  # fmt: skip
def test_what_anybody_would_try_first_will_not_do(pin: str) -> None:
    assert "easy to guess" in pins.weakness(pin)


@pytest.mark.parametrize(
    "pin", ["", "12345", "27491", "2749183650277", "27491a", "27 918", "-27491", "²74918", "٢٧٤٩١٨"]
)
def test_a_pin_is_six_to_twelve_digits(pin: str) -> None:
    assert "6 to 12 digits" in pins.weakness(pin)


@pytest.mark.parametrize("number", ["918", "E-2749", "27-49-18"])
def test_the_employees_number_is_not_their_pin(number: str) -> None:
    assert "number" in pins.weakness("274918", number)


@pytest.mark.parametrize("pin", ["274918", "830264", "908172635", "274918365027"])
def test_a_pin_without_a_pattern_will_do(pin: str) -> None:
    assert pins.weakness(pin, "0042") == ""


def test_a_random_pin_will_do_and_is_another_one_each_time() -> None:
    made = {pins.random_pin("0042") for _ in range(200)}
    assert len(made) > 190
    assert not [pin for pin in made if pins.weakness(pin, "0042")]


def test_only_the_pin_itself_fits_and_only_under_its_key() -> None:
    key, other = secrets.token_bytes(32), secrets.token_bytes(32)
    kept = pins.hashed("274918", key)
    assert pins.matches("274918", kept, key)
    assert not pins.matches("274919", kept, key)
    assert not pins.matches("274918", kept, other)


def test_the_same_pin_of_two_people_is_kept_differently() -> None:
    key = secrets.token_bytes(32)
    assert pins.hashed("274918", key) != pins.hashed("274918", key)
