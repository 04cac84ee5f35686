"""The administration site: users with their module, tokens, modules, groups of wells.

Here: forms and lists. Not here: what a token may do (``access``).

A token is shown once, on the page that answers its making, which nothing keeps.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from oasis_pipeline.intake.groups import choose_wells
from oasis_pipeline.intake.values import clean_node, node_key
from oasis_pipeline.service.login import AdminLoginForm
from oasis_pipeline.service.models import Module, Profile, Token, WellGroup
from oasis_pipeline.service.store import changing
from oasis_pipeline.service.warehouse import installation, warehouse

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


_KNOWN = 'SELECT node_key, "NodeID" AS node FROM xspoc.node WHERE node_key = ANY($1::text[])'
_WELLS_OF = 'SELECT "NodeID" AS node FROM analysis.well_group WHERE "GroupName" = $1 ORDER BY 1'


class WellGroupForm(forms.ModelForm):
    """A group with its wells, one a line."""

    wells = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 20}),
        help_text="One well a line, in any spelling. What is chosen here stays whatever files say; what files say can be changed by them.",
    )

    class Meta:
        """What it is of."""

        model = WellGroup
        fields = ("name",)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if self.instance.pk:
            found = warehouse().query(_WELLS_OF, (self.instance.pk,))["node"].to_pylist()
            self.fields["wells"].initial = "\n".join(found)

    def clean_name(self) -> str:
        """Make runs of blanks one, as in files."""
        return " ".join(str(self.cleaned_data["name"]).split())

    def clean_wells(self) -> list[str]:
        """Find the wells that are meant; names that are none are told, all of them."""
        wanted = {
            node_key(clean_node(line)): line.strip()
            for line in self.cleaned_data["wells"].splitlines()
            if line.strip()
        }
        rows = warehouse().query(_KNOWN, (list(wanted),)).to_pylist()
        known = {row["node_key"]: row["node"] for row in rows}
        unknown = [line for key, line in wanted.items() if key not in known]
        if unknown:
            raise forms.ValidationError(f"No such well: {', '.join(unknown[:20])}.")
        return sorted(known.values())


@admin.register(WellGroup)
class WellGroups(admin.ModelAdmin):
    """Groups of wells, by hand."""

    form = WellGroupForm
    search_fields = ("name",)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Each group once: the table has a row for each of its wells."""
        return super().get_queryset(request).distinct()

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Keep the name of a group that is there."""
        return () if obj is None else ("name",)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Make the group hold the wells of the form."""
        _choose(request, obj.name, form.cleaned_data["wells"])

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Take the group away; its wells stay."""
        _choose(request, obj.name, [])

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        """Take several groups away."""
        for group in list(queryset):
            _choose(request, group.name, [])


def _choose(request: HttpRequest, name: str, wells: list[str]) -> None:
    now = datetime.now(installation().zone).replace(tzinfo=None)
    with changing() as tx:
        tx.lock("intake")
        choose_wells(tx, name, wells, request.user.get_username(), now)
