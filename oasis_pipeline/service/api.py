"""The API: one short function for each path and method.

Here: routes, log-in and role of each, and the assembly of answers. Not here: what these functions call, and the words of the
documentation (``openapi``).

django-ninja finds out who asks, routes, and writes the documentation. Bodies and answers are not its pydantic models: a reading costs
it twenty times what msgspec takes, and filters follow from the tables.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from ninja import NinjaAPI
from ninja.errors import AuthenticationError

from oasis_pipeline import __version__
from oasis_pipeline.service import openapi, output
from oasis_pipeline.service.access import HOW_TO_LOG_IN, LOG_IN, SCHEMES, logged_in, require
from oasis_pipeline.service.alarms import decide_alarm, said_of_alarm
from oasis_pipeline.service.batches import batches
from oasis_pipeline.service.errors import ApiError
from oasis_pipeline.service.first_day import note_again, note_first_day
from oasis_pipeline.service.labels import store_labels
from oasis_pipeline.service.middleware import note
from oasis_pipeline.service.posting import answered, decoded
from oasis_pipeline.service.profiles import PROFILE, delete_profiles, store_profiles
from oasis_pipeline.service.query import parse
from oasis_pipeline.service.readings import (
    Body,
    body_of,
    decode_items,
    module_number,
    text_field,
)
from oasis_pipeline.service.resources import (
    module_resource,
    readable_tables,
    reading_resource,
    table_resource,
)
from oasis_pipeline.service.roles import MATRIX
from oasis_pipeline.service.rows import answer, parameters_of, storage_error
from oasis_pipeline.service.store import (
    MODULE,
    delete_modules,
    delete_readings,
    require_filter,
    store,
    store_modules,
)
from oasis_pipeline.service.warehouse import installation
from oasis_pipeline.storage.errors import StorageError

api = NinjaAPI(
    title="OASIS data service",
    version=__version__,
    description=openapi.DESCRIPTION,
    auth=list(SCHEMES),
    docs_decorator=logged_in,
    urls_namespace="oasis",
)
_encode = msgspec.json.Encoder().encode


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> HttpResponse:
    return HttpResponse(_encode(value), status=status, content_type="application/json", headers=headers)


@api.exception_handler(ApiError)
def _refused(request: HttpRequest, error: ApiError) -> HttpResponse:
    return _json(error.body(), error.status, error.headers)


@api.exception_handler(StorageError)
def _storage(request: HttpRequest, error: StorageError) -> HttpResponse:
    return _refused(request, storage_error(error))


@api.exception_handler(AuthenticationError)
def _unknown(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return _json({"reason": LOG_IN}, 401, HOW_TO_LOG_IN)


@api.exception_handler(Http404)
def _missing(request: HttpRequest, error: Http404) -> HttpResponse:
    return _json({"reason": f"there is nothing at {request.path[:200]}; /api/docs lists what there is"}, 404)


def _body(request: HttpRequest) -> Body:
    return body_of(
        request.body, request.headers.get("Content-Type", ""), request.headers.get("Content-Encoding", "")
    )


def _as_came(items: list[Any], single: bool) -> HttpResponse:
    return _json(items[0] if single else items)


# ---- modules


@api.get("/module/", **openapi.read("module"))
def get_modules(request: HttpRequest) -> HttpResponseBase:
    """List modules."""
    require(request, "module")
    return answer(request, module_resource())


@api.post("/module/", **openapi.post_modules())
def post_modules(request: HttpRequest) -> HttpResponse:
    """Store one module or many, all or none."""
    require(request, "module")
    items, single, faults = decode_items(_body(request))
    wanted: list[dict[str, str | None]] = []
    for index, item in enumerate(items):
        if index in faults.items:
            continue
        if not isinstance(item, dict):
            faults.add(index, None, "is not an object")
            continue
        for name in item:
            if name not in (*MODULE.column_names, "module", "conflict"):
                known = ", ".join(MODULE.column_names)
                faults.add(index, name[:100], f"is not a field of a module; the fields are {known}")
        texts = {name: text_field(item, name, index, faults) for name in MODULE.value_columns}
        wanted.append({"module_num": module_number(item, index, faults), **texts})
    faults.raise_any()
    note(request, modules=len(wanted))
    return _as_came(store_modules(wanted), single)


@api.delete("/module/", **openapi.delete("module"))
def remove_modules(request: HttpRequest) -> HttpResponse:
    """Delete the modules that match, with their readings and tokens."""
    require(request, "module")
    query = parse(module_resource(), parameters_of(request), only_filters=True)
    require_filter(query, "module")
    deleted, readings, left = delete_modules(query)
    if readings:
        note_again(installation())
    note(request, deleted=deleted, deleted_readings=readings)
    remaining = _rows(left, query)
    return _json({"deleted": deleted, "deleted_readings": readings, "remaining": remaining})


def _rows(found: Any, query: Any) -> list[dict[str, Any]]:
    return [row for batch in found.to_batches() for row in output.rows_of(batch, query.resource.fields)]


# ---- readings


@api.get("/rawdata/", **openapi.read("rawdata"))
def get_readings(request: HttpRequest) -> HttpResponseBase:
    """List readings."""
    require(request, "rawdata")
    return answer(request, reading_resource())


@api.post("/rawdata/", **openapi.post_readings())
def post_readings(request: HttpRequest) -> HttpResponse:
    """Store one reading or many, all or none."""
    principal = require(request, "rawdata")
    received = datetime.now(UTC)
    told = (request.headers.get("Content-Type", ""), request.headers.get("Content-Encoding", ""))
    readings = decoded(principal, request.body, *told, received)
    stored = store(readings, received)
    if stored.first_day is not None:
        note_first_day(installation(), stored.first_day)
    answer = answered(readings, stored, request.headers.get("Prefer", ""))
    note(request, **answer.notes)
    return HttpResponse(
        answer.body, status=answer.status, content_type="application/json", headers=answer.headers
    )


@api.delete("/rawdata/", **openapi.delete("rawdata"))
def remove_readings(request: HttpRequest) -> HttpResponse:
    """Delete the readings that match."""
    require(request, "rawdata")
    query = parse(reading_resource(), parameters_of(request), only_filters=True)
    require_filter(query, "rawdata")
    deleted, left = delete_readings(query)
    if deleted:
        note_again(installation())
    note(request, deleted=deleted)
    return _json({"deleted": deleted, "remaining": _rows(left, query)})


@api.get("/databatch/", **openapi.databatch())
def get_batches(request: HttpRequest) -> HttpResponseBase:
    """Compute features of windows of readings."""
    require(request, "databatch")
    return batches(request)


# ---- users


@api.get("/userprofile/", **openapi.read("userprofile"))
def get_profiles(request: HttpRequest) -> HttpResponseBase:
    """List users; whoever is no administrator sees his own row."""
    principal = require(request, "userprofile")
    own = () if principal.is_admin else (f"id = {int(principal.user_id or 0)}",)
    return answer(request, PROFILE, *own)


@api.post("/userprofile/", **openapi.post_profiles())
def post_profiles(request: HttpRequest) -> HttpResponse:
    """Make one user or many, all or none."""
    require(request, "userprofile")
    profiles, single = store_profiles(_body(request))
    return _as_came(profiles, single)


@api.delete("/userprofile/", **openapi.delete("userprofile"))
def remove_profiles(request: HttpRequest) -> HttpResponse:
    """Delete the users that match."""
    principal = require(request, "userprofile")
    query = parse(PROFILE, parameters_of(request), only_filters=True)
    require_filter(query, "userprofile")
    deleted = delete_profiles(query, principal.user_id)
    note(request, deleted=deleted)
    return _json({"deleted": deleted, "remaining": []})


# ---- what the platform has derived


@api.post("/dynalabel/", **openapi.post_labels())
def post_labels(request: HttpRequest) -> HttpResponse:
    """Label one card or many, all or none."""
    principal = require(request, "dynalabel")
    labels, single = store_labels(_body(request), principal.name, installation().field_now())
    note(request, labels=len(labels))
    for label in labels:
        label["Date"], label["LabeledAt"] = label["Date"].isoformat(), label["LabeledAt"].isoformat()
    return _as_came(labels, single)


@api.post("/alarm/{path:alarm_id}/acknowledge", **openapi.decide_alarm("acknowledge"))
def acknowledge_alarm(request: HttpRequest, alarm_id: str) -> HttpResponse:
    """Say that somebody takes care of an alarm."""
    return _decide(request, alarm_id, "acknowledged", "note")


@api.post("/alarm/{path:alarm_id}/dismiss", **openapi.decide_alarm("dismiss"))
def dismiss_alarm(request: HttpRequest, alarm_id: str) -> HttpResponse:
    """Say that an alarm is none, and why."""
    return _decide(request, alarm_id, "dismissed", "reason")


def _decide(request: HttpRequest, alarm_id: str, decision: str, field: str) -> HttpResponse:
    principal = require(request, "alarm")
    alarm = decide_alarm(alarm_id, decision, principal.name, said_of_alarm(_body(request), field))
    note(request, decision=decision)
    fields = table_resource("alarm").fields
    return _json(output.rows_of(alarm.to_batches()[0], fields)[0])


def _add_table(name: str) -> None:
    def read(request: HttpRequest) -> HttpResponseBase:
        require(request, name if name in MATRIX else "tables")
        return answer(request, table_resource(name))

    read.__name__ = f"get_{name}"
    read.__doc__ = readable_tables()[name].description
    api.get(f"/{name}/", **openapi.read(name))(read)


for _name in readable_tables():
    _add_table(_name)
