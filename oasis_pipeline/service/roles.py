"""Who may do what.

Here: the four roles, which are groups of Django, and the one table of resources, methods and roles. Not here: finding out who
asks (``access``).
"""

from __future__ import annotations

ADMIN, ENGINEER, VIEWER, DEVICE = "admin", "engineer", "viewer", "device"
ROLES = (ADMIN, ENGINEER, VIEWER, DEVICE)
"""Names of the groups. A superuser has the role admin."""

_READERS = frozenset({ADMIN, ENGINEER, VIEWER})
_EVERYONE = frozenset(ROLES)
_ADMIN = frozenset({ADMIN})

MATRIX: dict[str, dict[str, frozenset[str]]] = {
    "module": {"GET": _READERS, "POST": frozenset({ADMIN, ENGINEER}), "DELETE": _ADMIN},
    # a device: of its own module only
    "rawdata": {"GET": _READERS, "POST": frozenset({ADMIN, ENGINEER, DEVICE}), "DELETE": _ADMIN},
    # not an administrator: one's own row only
    "userprofile": {"GET": _EVERYONE, "POST": _ADMIN, "DELETE": _ADMIN},
    "databatch": {"GET": _READERS},
    "dynalabel": {"GET": _READERS, "POST": frozenset({ADMIN, ENGINEER})},
    "alarm": {"GET": _READERS, "POST": frozenset({ADMIN, ENGINEER})},
    "models": {"GET": _READERS, "POST": _ADMIN},
    "note": {"GET": _READERS, "POST": frozenset({ADMIN, ENGINEER})},
    # cards and everything that is derived from them
    "tables": {"GET": _READERS},
    "docs": {"GET": _EVERYONE},
    # Dagster's pages, which start runs
    "dagster": {"GET": frozenset({ADMIN, ENGINEER})},
}


def allowed(roles: frozenset[str], resource: str, method: str) -> bool:
    """Tell whether one of the roles may use a method of a resource.

    Parameters
    ----------
    roles : frozenset of str
        Roles of whoever asks.
    resource : str
        Key of `MATRIX`.
    method : str
        Of http.

    Returns
    -------
    bool
    """
    return bool(roles & MATRIX[resource].get(method, frozenset()))
