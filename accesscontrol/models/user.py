"""People who use the admin."""

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """A login of HR, a site manager or IT. Ours from the start, since a swap later is a migration
    of every table that points at it."""
