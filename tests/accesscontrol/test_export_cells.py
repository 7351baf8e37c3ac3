"""No cell of an export can be taken for a formula by a spreadsheet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accesscontrol.cells import neutral

FORMULA_STARTS = ["=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\u2212", "\ufe66"]


@pytest.mark.parametrize("start", [*FORMULA_STARTS, "\t", "\r", "\n"])
def test_a_text_that_could_be_run_gets_an_apostrophe(start: str) -> None:
    assert neutral(f"{start}1+1").startswith("'")


@pytest.mark.parametrize("lead", [" ", "\u00a0", "\u3000", '"', "'", ' "', "\ufeff", "\u200b", "“"])
def test_what_stands_before_the_sign_does_not_hide_it(lead: str) -> None:
    assert neutral(f"{lead}=cmd|' /C calc'!A0").startswith("'" + lead)


@pytest.mark.parametrize("separator", [";", ",", "\t", "\n", "|"])
def test_a_formula_behind_another_countrys_separator_is_neutralised(separator: str) -> None:
    assert neutral(f"Müller{separator}=1+1") == f"Müller{separator}'=1+1"


def test_nul_is_removed_and_does_not_hide_a_sign() -> None:
    assert neutral("\0=1+1") == "'=1+1"
    assert neutral("A\0B") == "AB"


@pytest.mark.parametrize(
    "name", ["Müller-Lüdenscheidt", "O'Neill", "Anna Maria", "0017", "a@b.example", "李小龙", ""]
)
def test_ordinary_names_stay_as_they_are(name: str) -> None:
    assert neutral(name) == name


@given(st.text())
def test_no_text_at_all_begins_like_a_formula(text: str) -> None:
    visible = neutral(text).strip().lstrip("\u200b\ufeff")
    assert not visible.startswith(tuple(FORMULA_STARTS))
    assert "\0" not in visible
