"""Rows for tests, valid by themselves: each trait says what is special about a row.

`EmployeeFactory(consented=True)`, `EmployeeFactory(withdrawn=True)`, `KioskFactory(paired=True)`,
`KioskFactory(revoked=True)`, `PhotoFactory(accepted=True)`, `PhotoFactory(refused=True)`,
`DecisionFactory(accepted=True)`, `PunchFactory(employee=..., at=...)`. `SiteFactory.create(...)`
is the same as `SiteFactory(...)`, and typed.
"""

# mypy: allow-untyped-calls
from __future__ import annotations

import base64
import hashlib
import uuid
from datetime import timedelta
from io import BytesIO
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.utils import timezone
from factory.declarations import (
    LazyAttribute,
    LazyFunction,
    RelatedFactory,
    SelfAttribute,
    Sequence,
    SubFactory,
    Trait,
)
from factory.django import DjangoModelFactory, Password
from PIL import Image

from accesscontrol import crypto, keyring
from accesscontrol.models import (
    Consent,
    Decision,
    Employee,
    EnrolmentPhoto,
    Kiosk,
    ModelVersion,
    Outcome,
    PhotoStatus,
    Punch,
    Refusal,
    Site,
    Threshold,
    User,
)

DIMENSION = 192
CALIBRATION = {
    "thresholds": {"1e-3": 0.42, "1e-4": 0.5, "1e-5": 0.56, "1e-6": 0.62},
    "data": "LFW, 6,000 pairs",
}


def jpeg_bytes(width: int = 64, height: int = 64, colour: str = "olive") -> bytes:
    """Return a valid JPEG without a face."""
    buffer = BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "JPEG")
    return buffer.getvalue()


def new_private_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def public_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """The form that `Kiosk.public_key` holds."""
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def public_base64(key: ec.EllipticCurvePrivateKey) -> str:
    """The form that `kiosks.redeem_code` takes."""
    der = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return base64.b64encode(der).decode()


class UserFactory(DjangoModelFactory[User]):
    """A login without any permission; traits `staff` and `superuser`."""

    class Meta:
        model = User

    class Params:
        staff = Trait(is_staff=True)
        superuser = Trait(is_staff=True, is_superuser=True)

    username = Sequence(lambda n: f"user{n}")
    password = Password("correct horse battery staple")


class SiteFactory(DjangoModelFactory[Site]):
    class Meta:
        model = Site

    name = Sequence(lambda n: f"Site {n}")
    slug = Sequence(lambda n: f"site-{n}")
    time_zone = "Europe/Berlin"


class ModelVersionFactory(DjangoModelFactory[ModelVersion]):
    """The active model of 192 dimensions; give `is_active=False` for a second one."""

    class Meta:
        model = ModelVersion

    name = "mobilefacenet"
    version = Sequence(lambda n: f"{n}")
    sha256 = Sequence(lambda n: hashlib.sha256(str(n).encode()).hexdigest())
    dimension = DIMENSION
    licence = "MIT"
    calibration = LazyFunction(lambda: dict(CALIBRATION))
    is_active = True


def active_model_version(**_: Any) -> ModelVersion:
    active = ModelVersion.objects.filter(is_active=True).first()
    return active or ModelVersionFactory.create()


class ThresholdFactory(DjangoModelFactory[Threshold]):
    """Under the active model version, which is made if there is none."""

    class Meta:
        model = Threshold

    site = SubFactory(SiteFactory)
    model_version = LazyFunction(active_model_version)
    value = 0.62
    margin = 0.05
    false_match_rate = 1e-6
    reason = "for a test"


class EmployeeFactory(DjangoModelFactory[Employee]):
    """Traits: `consented` (a live consent), `withdrawn` (one that has ended)."""

    class Meta:
        model = Employee
        skip_postgeneration_save = True

    class Params:
        consented = Trait(
            live_consent=RelatedFactory(
                "tests.factories.ConsentFactory", factory_related_name="employee"
            )
        )
        withdrawn = Trait(
            ended_consent=RelatedFactory(
                "tests.factories.ConsentFactory",
                factory_related_name="employee",
                withdrawn_at=LazyFunction(timezone.now),
            )
        )

    site = SubFactory(SiteFactory)
    number = Sequence(lambda n: f"{n:04}")
    name = Sequence(lambda n: f"Employee {n}")


class ConsentFactory(DjangoModelFactory[Consent]):
    class Meta:
        model = Consent

    employee = SubFactory(EmployeeFactory)
    given_at = LazyFunction(lambda: timezone.now() - timedelta(days=1))
    text_version = "2026-01 signed"


def live_consent_of(employee: Employee) -> Consent:
    live = Consent.objects.filter(employee=employee, withdrawn_at__isnull=True).first()
    return live or ConsentFactory.create(employee=employee)


def _sealed(photo: Any) -> bytes:
    keys = keyring.load(settings.KEYRING_PATH).photos
    return crypto.seal(keys.key(keys.current), photo.plain, f"photo:{photo.id}")


class PhotoFactory(DjangoModelFactory[EnrolmentPhoto]):
    """A waiting photo, really sealed; traits `accepted` (without a template) and `refused`."""

    class Meta:
        model = EnrolmentPhoto

    class Params:
        plain = LazyFunction(jpeg_bytes)
        accepted = Trait(status=PhotoStatus.ACCEPTED, processed_at=LazyFunction(timezone.now))
        refused = Trait(
            status=PhotoStatus.REFUSED,
            refusal=Refusal.NO_FACE,
            sealed=None,
            processed_at=LazyFunction(timezone.now),
        )

    id = LazyFunction(uuid.uuid4)
    employee = SubFactory(EmployeeFactory, consented=True)
    consent = LazyAttribute(lambda photo: live_consent_of(photo.employee))
    file_name = Sequence(lambda n: f"photo{n}.jpg")
    digest = Sequence(lambda n: hashlib.sha256(str(n).encode()).hexdigest())
    key_id = LazyFunction(lambda: keyring.load(settings.KEYRING_PATH).photos.current)
    sealed = LazyAttribute(_sealed)


class KioskFactory(DjangoModelFactory[Kiosk]):
    """Traits: `paired` (with some key; or give `public_key`), `revoked` (paired, then shut out)."""

    class Meta:
        model = Kiosk

    class Params:
        paired = Trait(
            public_key=LazyFunction(lambda: public_pem(new_private_key())),
            paired_at=LazyFunction(timezone.now),
        )
        revoked = Trait(paired=True, revoked_at=LazyFunction(timezone.now))

    site = SubFactory(SiteFactory)
    name = Sequence(lambda n: f"Entrance {n}")


def threshold_of(site: Site) -> Threshold:
    """The threshold in force, made if the site has none."""
    version = active_model_version()
    row = Threshold.objects.filter(site=site, model_version=version).first()
    return row or ThresholdFactory.create(site=site, model_version=version)


class DecisionFactory(DjangoModelFactory[Decision]):
    """A stranger who was refused; trait `accepted`: an employee who was let in."""

    class Meta:
        model = Decision

    class Params:
        at = LazyFunction(timezone.now)
        accepted = Trait(
            outcome=Outcome.ACCEPTED,
            employee=SubFactory(EmployeeFactory, site=SelfAttribute("..site")),
            score=0.83,
        )

    site = SubFactory(SiteFactory)
    kiosk = SubFactory(KioskFactory, paired=True, site=SelfAttribute("..site"))
    presentation = LazyFunction(uuid.uuid4)
    outcome = Outcome.NO_MATCH
    nearest = LazyAttribute(lambda decision: getattr(decision, "employee", None))
    score = 0.31
    second_score = 0.22
    threshold_row = LazyAttribute(lambda decision: threshold_of(decision.site))
    threshold = SelfAttribute("threshold_row.value")
    margin = SelfAttribute("threshold_row.margin")
    model_version = SelfAttribute("threshold_row.model_version")
    frames = 5
    evidence = LazyFunction(dict)
    first_captured_at = LazyAttribute(lambda row: row.at - timedelta(milliseconds=900))
    captured_at = LazyAttribute(lambda row: row.at - timedelta(milliseconds=200))
    received_at = LazyAttribute(lambda row: row.at - timedelta(milliseconds=150))
    decided_at = SelfAttribute("at")


class PunchFactory(DjangoModelFactory[Punch]):
    """An arrival, with its decision. Give `employee`, `at`, `kiosk` or `direction` as needed."""

    class Meta:
        model = Punch

    employee = SubFactory(EmployeeFactory)
    site = SelfAttribute("employee.site")
    kiosk = SubFactory(KioskFactory, paired=True, site=SelfAttribute("..site"))
    at = LazyFunction(timezone.now)
    decision = SubFactory(
        DecisionFactory,
        accepted=True,
        employee=SelfAttribute("..employee"),
        site=SelfAttribute("..site"),
        kiosk=SelfAttribute("..kiosk"),
        at=SelfAttribute("..at"),
    )
    presentation = SelfAttribute("decision.presentation")
    direction = "IN"
    captured_at = LazyAttribute(lambda punch: punch.at - timedelta(milliseconds=200))
    time_zone = SelfAttribute("site.time_zone")
    cooling = LazyAttribute(
        lambda punch: DateTimeTZRange(punch.at, punch.at + punch.site.cool_down)
    )
