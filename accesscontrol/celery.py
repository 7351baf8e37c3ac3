"""The Celery application. The web process only sends to it, by task name; workers import
`recognition.tasks`, and torch with it."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "accesscontrol.settings")

app = Celery("gatehouse", include=["recognition.tasks"])
app.config_from_object("django.conf:settings", namespace="CELERY")
