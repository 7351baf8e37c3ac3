"""Breaking the database's constraints on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import IntegrityError, connection, transaction


@contextmanager
def refused(constraint: str) -> Iterator[None]:
    """The database must refuse what is done inside, by a constraint that matches."""
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():  # noqa: PT012
        yield
        connection.check_constraints()  # also those that wait for the commit
