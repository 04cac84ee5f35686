"""The administration site: users with their module, tokens, modules.

Here: forms and lists. Not here: what a token may do (``access``).

A token is shown once, on the page that answers its making, which nothing keeps.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from oasis_pipeline.service.login import AdminLoginForm
from oasis_pipeline.service.models import Module, Profile, Token

admin.site.site_header = "OASIS data service"
admin.site.site_title = "OASIS"
admin.site.index_title = "Administration"
admin.site.site_url = "/"
admin.site.login_form = AdminLoginForm


class ProfileInline(admin.StackedInline):
    """The module of a device, on the user's page."""

    model = Profile
    can_delete = False
    extra = 0


class Users(UserAdmin):
    """Users; a new one is a viewer until somebody says otherwise."""

    list_display = ("username", "email", "roles", "is_active", "is_staff", "last_login")

    def get_inlines(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Show the profile of a user that is there; a new one gets it by itself."""
        return [] if obj is None else [ProfileInline]

    @admin.display(description="roles")
    def roles(self, user: Any) -> str:
        """Show the groups."""
        return ", ".join(group.name for group in user.groups.all()) or (
            "admin" if user.is_superuser else "none"
        )

    def get_queryset(self, request: HttpRequest) -> Any:
        """Fetch groups along, for the list."""
        return super().get_queryset(request).prefetch_related("groups")


admin.site.unregister(User)
admin.site.register(User, Users)


@admin.register(Token)
class Tokens(admin.ModelAdmin):
    """Tokens of modules and users."""

    list_display = (
        "name",
        "module_num",
        "user",
        "requests_per_minute",
        "created_at",
        "expires_at",
        "revoked",
    )
    list_filter = ("revoked",)
    search_fields = ("name", "module_num", "user__username", "key")
    actions: ClassVar = ["revoke"]
    readonly_fields = ("key", "created_at", "created_by")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Show what is filled in; of a token that is there also where it comes from."""
        given = ["name", "module_num", "user", "requests_per_minute", "expires_at"]
        return given if obj is None else [*given, "revoked", "key", "created_at", "created_by"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Keep whose token it is."""
        return self.readonly_fields if obj is None else (*self.readonly_fields, "module_num", "user")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Give a new token its secret."""
        if not change:
            obj.shown_once = obj.renew()
            obj.created_by = request.user.get_username()
        super().save_model(request, obj, form, change)

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the token, once."""
        context = {**self.admin_site.each_context(request), "title": "Token made", "token": obj}
        answer: HttpResponse = TemplateResponse(request, "service/token_made.html", context)
        return answer

    @admin.action(description="Revoke selected tokens", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: Any) -> None:
        """Revoke tokens; the service refuses them within a second."""
        count = queryset.update(revoked=True)
        self.message_user(request, f"{count} revoked")


@admin.register(Module)
class Modules(admin.ModelAdmin):
    """Modules; they are deleted by the API, together with their readings."""

    list_display = ("module_num", "module_type", "asset", "sensor_type")
    search_fields = ("module_num", "module_type", "asset", "sensor_type")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: readings of a module that is gone would stay."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Keep the number of a module that is there: its readings carry it."""
        return () if obj is None else ("module_num",)
