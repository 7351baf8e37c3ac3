"""What goes wrong outside our code: the message says what happened and what to do."""

from __future__ import annotations


class ServicesError(Exception):
    """A part cannot be prepared or started; the message is for the person at the terminal."""


class StopRequestedError(Exception):
    """SIGINT or SIGTERM came while something was being waited for."""
