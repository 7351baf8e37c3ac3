"""The Celery application. Web and beat only send to it, by task name; workers alone are started
with `--include recognition.tasks`, and load torch with it."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "accesscontrol.settings")

app = Celery("gatehouse")
app.config_from_object("django.conf:settings", namespace="CELERY")

# Wakes workers from requests: without a broker it gives up at once instead of after seconds. Its
# messages only hasten what beat starts anyway.
waker = Celery("gatehouse-waker", set_as_current=False)
waker.config_from_object("django.conf:settings", namespace="CELERY")
waker.conf.broker_transport_options = {
    "max_retries": 0,
    "interval_start": 0,
    "interval_step": 0,
    "socket_timeout": 2,
    "socket_connect_timeout": 2,
}
