"""`POST /kiosk/pair`: a device hands in its code and its public key, and is the kiosk from then."""

from __future__ import annotations

import logging
import math

import redis
from django.db import DatabaseError
from rest_framework import exceptions, serializers, status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView

from accesscontrol import kiosks

logger = logging.getLogger(__name__)


class PairingRequest(serializers.Serializer[None]):
    code = serializers.CharField(max_length=40)
    public_key = serializers.CharField(max_length=400)


class PairingView(APIView):
    """Pairs a device. Every refusal is `{"code", "message"}`."""

    authentication_classes = []
    permission_classes = [AllowAny]
    throttle_classes = [ScopedRateThrottle]
    throttle_scope = "pairing"

    def post(self, request: Request) -> Response:
        asked = PairingRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        code, public_key = asked.validated_data["code"], asked.validated_data["public_key"]
        kiosk = kiosks.redeem_code(code, public_key)
        paired = {"kiosk": str(kiosk.pk), "name": kiosk.name, "site": kiosk.site.name}
        return Response(paired, status=status.HTTP_201_CREATED)

    def handle_exception(self, exc: Exception) -> Response:
        answer = self._refusal(exc)
        answer.exception = True
        return answer

    def _refusal(self, exc: Exception) -> Response:
        match exc:
            case kiosks.PairingError():
                return _refuse("REFUSED", str(exc), 400)
            case exceptions.Throttled():
                wait = math.ceil(getattr(exc, "wait", None) or 60)
                problem = f"Too many attempts to pair. Try again in {wait} seconds."
                answer = _refuse("THROTTLED", problem, 429)
                answer["Retry-After"] = str(wait)
                return answer
            case exceptions.ValidationError() | exceptions.ParseError():
                problem = "Expected a JSON object with the texts “code” and “public_key”."
                return _refuse("BAD_REQUEST", problem, 400)
            case exceptions.APIException():
                return _refuse("BAD_REQUEST", str(exc.detail), exc.status_code)
            case redis.RedisError() | DatabaseError():
                logger.warning("pairing is not possible: %s", type(exc).__name__)
                return _refuse("BUSY", "The server cannot pair at the moment. Try again.", 503)
            case _:
                raise exc


def _refuse(code: str, message: str, status_code: int) -> Response:
    return Response({"code": code, "message": message}, status=status_code)
