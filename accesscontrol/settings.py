"""Django's settings. The environment is read here and nowhere else."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from celery.schedules import crontab
from csp.constants import NONCE, NONE, SELF
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from accesscontrol import keyring
from accesscontrol.environment import (
    PROJECT,
    database_settings,
    embedded_services,
    read_environment,
)

ENVIRONMENT = read_environment()

HOME: Path = ENVIRONMENT.gatehouse_home
KEYRING_PATH: Path = ENVIRONMENT.keyring_path
MODELS_DIR: Path = HOME / "models"

# Without a keyring only the commands that make one can run; `checks.py` says so for the others.
SECRET_KEY = keyring.load(KEYRING_PATH).django if KEYRING_PATH.exists() else ""

DEBUG = ENVIRONMENT.gatehouse_debug
ALLOWED_HOSTS = ENVIRONMENT.gatehouse_allowed_hosts
CSRF_TRUSTED_ORIGINS = ENVIRONMENT.gatehouse_trusted_origins

_embedded = embedded_services(HOME)
DATABASE_URL = ENVIRONMENT.database_url or _embedded.get("database_url")
REDIS_URL = ENVIRONMENT.redis_url or _embedded.get("redis_url") or "redis://127.0.0.1:1/0"

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",  # its default one would replace our admin site
    "unfold.contrib.filters",
    "accesscontrol.apps.GatehouseAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "channels",
    "rest_framework",
    "csp",
    "accesscontrol",
    "kiosk",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "accesscontrol.urls"
ASGI_APPLICATION = "accesscontrol.asgi.application"
WEBSOCKET_ROUTES = "kiosk.routing.websocket_urlpatterns"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [PROJECT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ],
        },
    },
]

DATABASES: dict[str, dict[str, Any]] = {"default": database_settings(DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "cache",
        "OPTIONS": {"serializer": "accesscontrol.cache.JSONSerializer"},
    }
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "gatehouse"},
    }
}

AUTH_USER_MODEL = "accesscontrol.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
# Without a build step: WhiteNoise serves each app's own files.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = int(timedelta(hours=12).total_seconds())
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = ENVIRONMENT.gatehouse_tls
SECURE_SSL_REDIRECT = ENVIRONMENT.gatehouse_tls
SECURE_HSTS_SECONDS = 31_536_000 if ENVIRONMENT.gatehouse_tls else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = ENVIRONMENT.gatehouse_tls
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENVIRONMENT.gatehouse_tls else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:", "blob:"],
        "media-src": [SELF, "blob:"],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FILES = 20
# Photos must not lie on the disk unsealed, not even in temporary files: a whole upload stays in
# memory, and what is larger is refused before it is read.
REQUEST_MAX_BYTES = FILE_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024 * 1024
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_THROTTLE_RATES": {"pairing": "20/min"},
}

# A message is only a wake-up; what it wakes for lies in Postgres or in a kiosk's slot.
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_DEFAULT_QUEUE = "enrolment"
CELERY_TASK_ROUTES = {
    "recognition.drain_slots": {"queue": "recognition"},
    "recognition.process_photos": {"queue": "enrolment"},
    "recognition.embed_anew": {"queue": "enrolment"},
    "recognition.survey_galleries": {"queue": "enrolment"},
    "recognition.check_galleries": {"queue": "enrolment"},
    "recognition.group_visitors": {"queue": "enrolment"},
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "unacked_restore_throttle": 1,
    "unacked_restore_interval": 2,
    "socket_keepalive": True,
    "visibility_timeout": 300,
}
CELERY_BEAT_SCHEDULE = {
    # A person who has left sends no more frames: their presentation is closed from here.
    "close-presentations": {
        "task": "recognition.drain_slots",
        "schedule": 1.0,
        "options": {"expires": 1.0},
    },
    # Photos whose wake-up message was lost with the broker.
    "pick-up-photos": {
        "task": "recognition.process_photos",
        "schedule": 10.0,
        "options": {"expires": 10.0},
    },
    # Photos under the other model of a model change, and templates that are kept no more.
    "embed-anew": {
        "task": "recognition.embed_anew",
        "schedule": 10.0,
        "options": {"expires": 10.0},
    },
    # Galleries that have changed are compared with themselves, and thresholds solved again.
    "survey-galleries": {
        "task": "recognition.survey_galleries",
        "schedule": 300.0,
        "options": {"expires": 300.0},
    },
    # Visits of unknown people whose days are over go; the others are grouped where some are new.
    "group-visitors": {
        "task": "recognition.group_visitors",
        "schedule": 60.0,
        "options": {"expires": 60.0},
    },
    # Indexes of large galleries: built, held against the exact search, given up. By night, since
    # a build takes a core for minutes.
    "check-galleries": {
        "task": "recognition.check_galleries",
        "schedule": crontab(hour=2, minute=40),
        "options": {"expires": 3600.0},
    },
}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    # A line for each wake-up, one a second at the least, would bury the others.
    "loggers": {
        name: {"level": "WARNING"} for name in ("celery.app.trace", "celery.worker.strategy")
    },
    "root": {"handlers": ["stderr"], "level": ENVIRONMENT.gatehouse_log_level},
}

TORCH_DEVICE = ENVIRONMENT.gatehouse_device
EMBEDDER = ENVIRONMENT.gatehouse_embedder
TORCH_THREADS = ENVIRONMENT.gatehouse_torch_threads
PRECISION = ENVIRONMENT.gatehouse_precision

FRAME_MAX_BYTES = 512 * 1024
FRAME_MAX_PIXELS = 4_000_000
PHOTO_MAX_BYTES = 15 * 1024 * 1024
PHOTO_MAX_PIXELS = 50_000_000
PHOTO_BACKLOG_MAX = 2_000
"""Photos waiting for a worker in the whole installation; more are turned away with a message."""

UNFOLD = {
    "SITE_TITLE": "Gatehouse",
    "SITE_HEADER": "Gatehouse",
    "SITE_SUBHEADER": _("Access and attendance"),
    "SITE_SYMBOL": "badge",
    "SITE_URL": None,
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("accesscontrol/icon.svg"),
        }
    ],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "8px",
    "STYLES": [lambda request: static("accesscontrol/admin.css")],
    "DASHBOARD_CALLBACK": "accesscontrol.admin.dashboard.add_dashboard",
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": "accesscontrol.admin.navigation.navigation",
    },
    "COLORS": {
        "primary": {
            "50": "oklch(97% .014 254.6)",
            "100": "oklch(93.2% .032 255.6)",
            "200": "oklch(88.2% .059 254.1)",
            "300": "oklch(80.9% .105 251.8)",
            "400": "oklch(70.7% .165 254.6)",
            "500": "oklch(62.3% .19 259.8)",
            "600": "oklch(52% .2 261)",
            "700": "oklch(45% .2 263)",
            "800": "oklch(40% .17 265)",
            "900": "oklch(37.9% .146 265.5)",
            "950": "oklch(28.2% .091 267.9)",
        },
    },
}
