"""A page that says what is about to happen, with a button that does it by POST."""

from __future__ import annotations

from dataclasses import dataclass

from django import forms
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
    form: forms.Form | None = None
    """What has to be said along with it."""
    template: str = "admin/accesscontrol/confirm.html"

    def response(self, request: HttpRequest) -> TemplateResponse:
        context = {**admin.site.each_context(request), "title": self.title, "confirmation": self}
        status = 400 if self.form is not None and self.form.errors else 200
        return TemplateResponse(request, self.template, context, status=status)
