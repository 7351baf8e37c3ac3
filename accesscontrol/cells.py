"""Table cells that no spreadsheet takes for a formula (OWASP: CSV injection)."""

from __future__ import annotations

import re

# What a spreadsheet may skip before it looks for a formula: spaces of any kind, quotes, and
# characters that show nothing.
_SKIPPED = r"[\s\u200b-\u200f\u2060\ufeff\"'`\u00b4\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb]*"
# ASCII, full-width (U+FFxx) and small (U+FExx) forms, and the minus sign proper.
_STARTS_FORMULA = r"[=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212]"
# A cell begins at the start of the text, and again behind whatever another country's spreadsheet
# takes for a separator: a German Excel splits a comma-separated file at its semicolons.
_FORMULA = re.compile(rf"(?:^|(?<=[;,\t\r\n|]))(?={_SKIPPED}{_STARTS_FORMULA})")
_CONTROL = re.compile(r"^[\t\r\n]")


def neutral(value: object) -> str:
    """Return the value as text that stays text: an apostrophe goes before what could be run.

    Neutralised are = + - @ and their full-width and small forms as the first visible character,
    also behind white space and quotes, and a leading tab, CR or LF; NUL is removed.
    """
    text = str(value).replace("\0", "")
    marked = _FORMULA.sub("'", text)
    return f"'{marked}" if _CONTROL.match(marked) else marked
