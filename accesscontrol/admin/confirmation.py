"""A page that says what is about to happen, with a button that does it by POST."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What the page says; the button posts to the page's own address."""

    title: str
    question: str
    consequences: tuple[str, ...]
    button: str
    back: str
    danger: bool = True

    def response(self, request: HttpRequest) -> TemplateResponse:
        context = {**admin.site.each_context(request), "title": self.title, "confirmation": self}
        return TemplateResponse(request, "admin/accesscontrol/confirm.html", context)
