"""The Celery application. Web and beat only send to it, by task name; workers alone are started
with `--include recognition.tasks`, and load torch with it."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "accesscontrol.settings")

app = Celery("gatehouse")
app.config_from_object("django.conf:settings", namespace="CELERY")
