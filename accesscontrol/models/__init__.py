"""The domain's nouns, a file for each; every invariant that can be one is a constraint."""

from accesscontrol.models.admission import Admission
from accesscontrol.models.audit import AuditEntry
from accesscontrol.models.candidate import CandidateScore
from accesscontrol.models.consent import Consent
from accesscontrol.models.correction import Correction
from accesscontrol.models.credential import Badge, Pin
from accesscontrol.models.decision import Decision, Method, Outcome
from accesscontrol.models.employee import Employee
from accesscontrol.models.enrolment import EnrolmentPhoto, PhotoStatus, Refusal, Template
from accesscontrol.models.gallery_index import GalleryIndex
from accesscontrol.models.kiosk import Kiosk, KioskStatus, PairingCode
from accesscontrol.models.look_alike import LookAlike
from accesscontrol.models.model_change import EmbeddingAttempt, ModelChange, ShadowDecision
from accesscontrol.models.model_version import ModelVersion
from accesscontrol.models.punch import Direction, Punch
from accesscontrol.models.site import PadPolicy, Site
from accesscontrol.models.survey import GallerySurvey
from accesscontrol.models.threshold import Threshold
from accesscontrol.models.throttle import Throttle
from accesscontrol.models.user import User
from accesscontrol.models.visitor import Visit, Visitor, VisitorPolicy

__all__ = [
    "Admission",
    "AuditEntry",
    "Badge",
    "CandidateScore",
    "Consent",
    "Correction",
    "Decision",
    "Direction",
    "EmbeddingAttempt",
    "Employee",
    "EnrolmentPhoto",
    "GalleryIndex",
    "GallerySurvey",
    "Kiosk",
    "KioskStatus",
    "LookAlike",
    "Method",
    "ModelChange",
    "ModelVersion",
    "Outcome",
    "PadPolicy",
    "PairingCode",
    "PhotoStatus",
    "Pin",
    "Punch",
    "Refusal",
    "ShadowDecision",
    "Site",
    "Template",
    "Threshold",
    "Throttle",
    "User",
    "Visit",
    "Visitor",
    "VisitorPolicy",
]
