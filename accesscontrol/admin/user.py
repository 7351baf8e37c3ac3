"""Logins and their groups."""

# mypy: allow-subclassing-any
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accesscontrol import audit
from accesscontrol.admin.base import acting_user
from accesscontrol.models import User

if TYPE_CHECKING:
    UserBase = DjangoUserAdmin[User]
    GroupBase = DjangoGroupAdmin
else:
    from unfold.admin import ModelAdmin

    class UserBase(DjangoUserAdmin, ModelAdmin):
        """Django's user admin in unfold's clothes."""

        compressed_fields = False

    class GroupBase(DjangoGroupAdmin, ModelAdmin):
        """Django's group admin in unfold's clothes."""

        compressed_fields = False


@admin.register(User)
class UserAdmin(UserBase):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "first_name", "last_name", "is_active", "is_superuser")

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        audit.record(
            audit.actor_of(acting_user(request)),
            "change_user" if change else "add_user",
            f"user:{obj.get_username()}",
            {"changed": sorted(form.changed_data), "is_superuser": obj.is_superuser},
        )


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(GroupBase):
    """Groups: HR, Site manager and IT are there from the start (`accesscontrol.groups`)."""
