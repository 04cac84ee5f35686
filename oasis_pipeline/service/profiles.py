"""Users as a resource of the API: ``/api/userprofile/``.

Here: reading them by the usual filters, and making and removing them by Django's own means. Not here: roles (``roles``) and
pages (``admin``). A password goes in and never out.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from oasis_pipeline.schema import Type
from oasis_pipeline.service.errors import ApiError
from oasis_pipeline.service.models import Module
from oasis_pipeline.service.query import Field, Query, Resource
from oasis_pipeline.service.readings import Body, Faults, decode_items, text_field
from oasis_pipeline.service.roles import DEVICE, ROLES, VIEWER
from oasis_pipeline.service.warehouse import warehouse

_SOURCE = (
    "(SELECT u.id, u.username, u.email, u.first_name, u.last_name, u.is_active, u.is_staff, u.is_superuser,"
    " u.date_joined, u.last_login, p.module_num, coalesce((SELECT string_agg(g.name, ',' ORDER BY g.name)"
    " FROM django.auth_user_groups AS ug JOIN django.auth_group AS g ON g.id = ug.group_id WHERE ug.user_id = u.id), '')"
    " AS roles FROM django.auth_user AS u LEFT JOIN django.service_profile AS p ON p.user_id = u.id) AS profile"
)
_COLUMNS = (
    Field("id", Type.INT, "id", "Number of the user", required=True),
    Field("username", Type.TEXT, "username", "Name to log in with", required=True),
    Field("email", Type.TEXT, "email", "Address", required=True),
    Field("first_name", Type.TEXT, "first_name", "First name", required=True),
    Field("last_name", Type.TEXT, "last_name", "Last name", required=True),
    Field("roles", Type.TEXT, "roles", "Groups, comma-separated", required=True),
    Field("module_num", Type.TEXT, "module_num", "The one module of a device"),
    Field("is_active", Type.BOOL, "is_active", "Whether it may log in", required=True),
    Field("is_staff", Type.BOOL, "is_staff", "Whether it may use the administration site", required=True),
    Field("is_superuser", Type.BOOL, "is_superuser", "Whether it may do everything", required=True),
    Field("date_joined", Type.UTC, "date_joined", "When it was made", required=True),
    Field("last_login", Type.UTC, "last_login", "When it last logged in by a page"),
)
PROFILE = Resource(
    "userprofile",
    _SOURCE,
    {column.name: column for column in _COLUMNS},
    ("username",),
    {"module": "module_num"},
    "Users and their roles.",
)
_GIVEN = ("username", "password", "email", "first_name", "last_name", "roles", "module_num", "module")
_LONGEST = {"username": 150, "email": 254, "first_name": 150, "last_name": 150}


def store_profiles(body: Body) -> tuple[list[dict[str, Any]], bool]:
    """Make users, all or none. A name that is taken is left as it is.

    Parameters
    ----------
    body : Body

    Returns
    -------
    profiles : list of dict
        As `PROFILE` shows them; ``conflict`` is true where a user of that name stands with other values.
    single : bool
        Whether the body was one object and no list.

    Raises
    ------
    ApiError
        400 with every fault of every item.
    """
    items, single, faults = decode_items(body)
    wanted = [_checked(item, index, faults) for index, item in enumerate(items) if index not in faults.items]
    faults.raise_any()
    with transaction.atomic():
        conflicts = [_make(values) for values in wanted]
    names = [values["username"] for values in wanted]
    stands = {row["username"]: row for row in shown(names)}
    return [
        {**stands[name], **({"conflict": True} if conflict else {})}
        for name, conflict in zip(names, conflicts, strict=True)
    ], single


def shown(names: list[str]) -> list[dict[str, Any]]:
    """Read profiles by name, as they stand in an answer."""
    from oasis_pipeline.service.output import rows_of

    columns = ", ".join(field.sql for field in _COLUMNS)
    found = warehouse().query(f"SELECT {columns} FROM {_SOURCE} WHERE username = ANY($1::text[])", (names,))
    return [row for batch in found.to_batches() for row in rows_of(batch, PROFILE.fields)]


def _checked(item: Any, index: int, faults: Faults) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if not isinstance(item, dict):
        faults.add(index, None, "is not an object")
        return values
    for name in item:
        if name not in _GIVEN:
            faults.add(index, name[:100], f"is not a field of a user; the fields are {', '.join(_GIVEN)}")
    for name, longest in _LONGEST.items():
        values[name] = text_field(item, name, index, faults, longest) or ""
    try:
        User.username_validator(values["username"])
    except ValidationError:
        faults.add(index, "username", "is required: letters, digits and @/./+/-/_ only")
    if values["email"]:
        _validate(index, "email", faults, validate_email, values["email"])
    values["module_num"] = text_field(item, "module_num", index, faults) or text_field(
        item, "module", index, faults
    )
    values["roles"] = _roles(item.get("roles"), index, faults)
    if values["module_num"] is not None and not Module.objects.filter(pk=values["module_num"]).exists():
        faults.add(index, "module_num", f"there is no module {values['module_num']}")
    if values["roles"] == {DEVICE} and values["module_num"] is None:
        faults.add(index, "module_num", "is required of a device")
    password = text_field(item, "password", index, faults, 1000)
    if password is not None:
        user = User(**{name: values[name] for name in _LONGEST})
        _validate(index, "password", faults, validate_password, password, user)
    values["password"] = password
    return values


def _validate(index: int, name: str, faults: Faults, check: Any, *values: Any) -> None:
    try:
        check(*values)
    except ValidationError as error:
        faults.add(index, name, " ".join(error.messages))


def _roles(given: Any, index: int, faults: Faults) -> set[str]:
    if given is None:
        return {VIEWER}
    names = [part for part in given.split(",") if part] if isinstance(given, str) else given
    if not isinstance(names, list) or any(name not in ROLES for name in names):
        faults.add(index, "roles", f"is not a list of {', '.join(ROLES)}")
        return set()
    return set(names)


def _make(values: dict[str, Any]) -> bool:
    """Make a user; True if one of that name stands with other values."""
    fields = {name: values[name] for name in ("email", "first_name", "last_name")}
    user, made = User.objects.get_or_create(username=values["username"], defaults=fields)
    if made:
        user.set_password(values["password"])  # None: one that never fits
        user.save()
        user.groups.set([Group.objects.get_or_create(name=name)[0] for name in sorted(values["roles"])])
        user.profile.module_num = values["module_num"]
        user.profile.save()
        return False
    same = (
        all(getattr(user, name) == value for name, value in fields.items())
        and {group.name for group in user.groups.all()} == values["roles"]
        and user.profile.module_num == values["module_num"]
        and (values["password"] is None or user.check_password(values["password"]))
    )
    return not same


def delete_profiles(query: Query, own_id: int | None) -> int:
    """Delete the users that match.

    Parameters
    ----------
    query : Query
        With a filter.
    own_id : int or None
        Who asks: nobody deletes himself.

    Returns
    -------
    int
        Number deleted.

    Raises
    ------
    ApiError
        400 if the one who asks is among them.
    """
    found = warehouse().query(f"SELECT id FROM {_SOURCE} WHERE {query.condition()}")["id"].to_pylist()
    if own_id in found:
        raise ApiError(400, "your own user is among them: users cannot delete themselves")
    with transaction.atomic():
        User.objects.filter(pk__in=found).delete()
    return len(found)
