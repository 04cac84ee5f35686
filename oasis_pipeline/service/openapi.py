"""The words of ``/api/docs``: parameters, bodies, answers and statuses of each operation.

Here: descriptions, made from the schema source where there is one. Not here: what happens (``api``).
"""

from __future__ import annotations

from typing import Any

from oasis_pipeline.schema import Type
from oasis_pipeline.service import limits
from oasis_pipeline.service.output import MEDIA
from oasis_pipeline.service.profiles import PROFILE
from oasis_pipeline.service.query import LOOKUPS, Field, Resource, resource_of
from oasis_pipeline.service.resources import module_resource, readable_tables, reading_resource
from oasis_pipeline.service.roles import MATRIX, ROLES

DESCRIPTION = f"""Readings of sensor modules in; readings, window features and the platform's results out.

**Log in** by a bearer token (made in the administration site), by HTTP Basic, or by a session (`/login/`; whatever changes something then
needs the header `X-CSRFToken`). Roles are {", ".join(ROLES)}.

**Filters**: any field, `field=value`, and {", ".join(f"`field__{name}`" for name in LOOKUPS)}; lists as `(a,b)`.
`order_by=field` or `(a,-b)`; with `limit` an answer is a page, and the header `X-Next-Cursor` holds the `cursor` of the next one. Without, everything
is streamed. `fields=(a,b)` answers those only. `format` or `Accept`: {", ".join(MEDIA)}.

**Errors** are JSON with a `reason`. A body has at most {limits.MAX_READINGS:,} items and {limits.MAX_BODY_BYTES >> 20} MB, also unpacked."""

_TYPES: dict[Type, dict[str, Any]] = {
    Type.TEXT: {"type": "string"},
    Type.FLOAT: {"type": "number"},
    Type.INT: {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    Type.BOOL: {"type": "boolean"},
    Type.TIME: {"type": "string"},
    Type.UTC: {"type": "string", "format": "date-time"},
    Type.DAY: {"type": "string", "format": "date"},
    Type.POINTS: {"type": "array", "items": {"type": ["number", "null"]}},
    Type.CODES: {"type": "array", "items": {"type": "string"}},
    Type.DOCUMENT: {"type": "object"},
    Type.JSON: {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "value": {"type": "number"}},
            "required": ["name", "value"],
        },
    },
}
_REASON = {
    "type": "object",
    "properties": {"reason": {"type": "string"}},
    "required": ["reason"],
}
_ERRORS = {
    "type": "object",
    "properties": {
        "reason": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "index": {"type": "integer"},
                    "field": {"type": ["string", "null"]},
                    "reason": {"type": "string"},
                },
                "required": ["reason"],
            },
        },
        "fields": {"type": "array", "items": {"type": "string"}},
        "more_errors": {"type": "integer"},
    },
    "required": ["reason"],
}
_STATUSES = {
    400: "Bad request: see `reason` and `errors`",
    401: "Not logged in",
    403: "The role does not allow it, or the CSRF token of a session is missing",
    406: "Not one of the media types asked for",
    408: "The body did not arrive in time",
    404: "There is no such alarm",
    409: "The alarm is closed and can no longer be decided on",
    413: "Too many items or bytes",
    415: "Not JSON, JSON lines, or gzip of them",
    429: "Too many requests: see `Retry-After`",
    503: "Busy, or the database does not answer: try again",
}


NAMES = {
    "module": "modules",
    "rawdata": "readings",
    "userprofile": "users",
    "card": "cards",
    "xdiagresults": "vendor diagnoses",
    "xdiagrodresults": "vendor rod loads",
    "welltest": "well tests",
    "welldetails": "well details",
    "rods": "rod strings",
    "deviations": "directional surveys",
    "pumpingunits": "pumping units",
    "rejected": "rejected rows",
    "failure_info": "failures",
    "dynalabel": "labels",
    "xspoc": "cards beside vendor results",
    "dynabounds": "bounds of cards",
    "dynapred": "predicted classes",
    "label_queue": "cards to label next",
    "label_suspect": "suspected labels",
    "carddiag": "diagnoses",
    "roddiag": "rod stresses",
    "xpred": "failure forecasts",
    "cardpred": "card forecasts",
    "cardanomaly": "card anomalies",
    "trend": "trends",
    "runlife": "run lives",
    "alarm": "alarms",
    "alarm_decision": "decisions on alarms",
    "opinion_request": "requests for second opinions",
    "wellsummary": "well days",
    "wellstatus": "well states",
    "worklist": "worklist entries",
    "setpoint": "advice on set points",
    "well_group": "groups of wells",
    "economics": "prices and costs",
    "forecaster": "forecasters that the site has named",
}
"""What a resource holds, in the plural; a table without an entry goes by its name."""


def _answers(*statuses: int) -> dict[int, Any]:
    return {
        status: {
            "description": _STATUSES[status],
            "content": {"application/json": {"schema": _ERRORS if status in (400, 403) else _REASON}},
        }
        for status in statuses
    }


def _resource(name: str) -> Resource:
    if name == "module":
        return module_resource()
    if name == "rawdata":
        return reading_resource()
    return PROFILE if name == "userprofile" else resource_of(readable_tables()[name])


def _value(field: Field) -> dict[str, Any]:
    kind = dict(_TYPES[field.type])
    if not field.required:
        kind["type"] = [kind["type"], "null"]
    text = field.description + (f" [{field.unit}]" if field.unit else "")
    return {**kind, **({"description": text} if text else {})}


def _row(resource: Resource, **more: Any) -> dict[str, Any]:
    properties = {name: _value(field) for name, field in resource.fields.items()}
    return {"type": "object", "properties": {**properties, **more}, "required": list(resource.key)}


def _parameter(name: str, schema: dict[str, Any], text: str, *, required: bool = False) -> dict[str, Any]:
    return {"in": "query", "name": name, "schema": schema, "description": text, "required": required}


def _filters(resource: Resource) -> list[dict[str, Any]]:
    """Filters worth showing; every field has one, and every lookup."""
    found = []
    for name, field in resource.fields.items():
        if field.type in (Type.POINTS, Type.DOCUMENT):
            continue
        if field.type is Type.CODES:
            found.append(_parameter(f"{name}__contains", {"type": "string"}, "Contains this code"))
            continue
        if field.type is Type.JSON:
            found.append(
                _parameter(f"{name}__contains", {"type": "string"}, "Contains a measure of this name")
            )
            continue
        kind = dict(_TYPES[field.type])
        found.append(_parameter(name, kind, field.description))
        if name in resource.key or field.type in (Type.UTC, Type.TIME):
            if field.type in (Type.UTC, Type.TIME, Type.DAY):
                found.append(_parameter(f"{name}__gte", kind, "From (inclusive)"))
                found.append(_parameter(f"{name}__lt", kind, "To (exclusive)"))
            else:
                found.append(_parameter(f"{name}__in", {"type": "string"}, "One of `(a,b)`"))
    for alias, name in resource.aliases.items():
        if "__" not in alias:
            found.append(_parameter(alias, dict(_TYPES[resource.fields[name].type]), f"The same as {name}"))
    return found


def _roles(resource: str, method: str) -> str:
    return "For " + ", ".join(role for role in ROLES if role in MATRIX[resource][method]) + "."


def _operation(
    name: str, verb: str, tag: str, text: str, *, summary: str = "", **extra: Any
) -> dict[str, Any]:
    done = {"get": "List", "post": "Store", "delete": "Delete"}[verb]
    return {
        "operation_id": f"{verb}_{name}",
        "summary": summary or f"{done} {NAMES.get(name, name)}",
        "tags": [tag],
        "description": text,
        "openapi_extra": extra,
    }


def _tag(name: str) -> str:
    return {"module": "modules", "rawdata": "readings", "userprofile": "users"}.get(name, "results")


def read(name: str) -> dict[str, Any]:
    """Describe a GET of a resource; arguments for ninja's decorator."""
    resource = _resource(name)
    pages = [
        _parameter("order_by", {"type": "string"}, "`field`, `-field` or `(a,-b)`"),
        _parameter("limit", {"type": "integer", "minimum": 1, "maximum": limits.MAX_PAGE}, "Rows of a page"),
        _parameter("cursor", {"type": "string"}, "`X-Next-Cursor` of the previous page"),
        _parameter("format", {"type": "string", "enum": list(MEDIA)}, "Overrides `Accept`"),
        _parameter("fields", {"type": "string"}, "Fields to return: `field` or `(a,b)`; default all"),
    ]
    # with `fields` a row has fewer
    row = {**_row(resource), "required": []}
    forms: dict[str, Any] = {MEDIA["json"]: {"schema": {"type": "array", "items": row}}}
    forms |= {
        MEDIA[form]: {"schema": {"type": "string", "format": "binary"}}
        for form in ("csv", "parquet", "arrow")
    }
    headers = {
        "X-Next-Cursor": {"description": "Cursor of the next page", "schema": {"type": "string"}},
        "Link": {"description": "Address of the next page", "schema": {"type": "string"}},
    }
    role = name if name in MATRIX else "tables"
    return _operation(
        name,
        "get",
        _tag(name),
        f"{resource.description} {_roles(role, 'GET')}",
        parameters=[*_filters(resource), *pages],
        responses={
            200: {"description": "Rows", "content": forms, "headers": headers},
            **_answers(400, 401, 403, 406, 429, 503),
        },
    )


def delete(name: str) -> dict[str, Any]:
    """Describe a DELETE of a resource; arguments for ninja's decorator."""
    resource = _resource(name)
    answer = {
        "type": "object",
        "properties": {
            "deleted": {"type": "integer"},
            "deleted_readings": {"type": "integer"},
            "remaining": {"type": "array", "items": _row(resource)},
        },
        "required": ["deleted", "remaining"],
    }
    also = " Their readings and tokens go with them." if name == "module" else ""
    return _operation(
        name,
        "delete",
        _tag(name),
        f"Delete what matches; at least one filter is needed.{also} {_roles(name, 'DELETE')}",
        parameters=_filters(resource),
        responses={
            200: {"description": "Number deleted, and what still matches", "content": _json(answer)},
            **_answers(400, 401, 403, 429, 503),
        },
    )


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _post(
    name: str,
    tag: str,
    text: str,
    item: dict[str, Any],
    stored: dict[str, Any],
    example: Any,
    *,
    short: bool = False,
) -> dict[str, Any]:
    both = {"oneOf": [item, {"type": "array", "items": item, "maxItems": limits.MAX_READINGS}]}
    answers: list[dict[str, Any]] = [{"type": "array", "items": stored}, stored]
    if short:
        answers.append(
            {
                "type": "object",
                "properties": {
                    "received": {"type": "integer"},
                    "stored": {"type": "integer"},
                    "conflicts": {"type": "array", "items": {"type": "integer"}},
                },
                "required": ["received", "stored", "conflicts"],
            }
        )
    return _operation(
        name,
        "post",
        tag,
        f"{text} {_roles(name, 'POST')}",
        requestBody={
            "required": True,
            "content": {
                "application/json": {"schema": both, "example": example},
                "application/x-ndjson": {"schema": {"type": "string"}},
            },
        },
        responses={
            200: {"description": "What is stored", "content": _json({"anyOf": answers})},
            **_answers(400, 401, 403, 408, 413, 415, 429, 503),
        },
    )


def _text(longest: int, *, required: bool = False) -> dict[str, Any]:
    kind: dict[str, Any] = {"type": "string" if required else ["string", "null"], "maxLength": longest}
    return {**kind, "minLength": 1} if required else kind


_NUMBER = {"type": ["number", "null"]}
_CONFLICT = {"type": "boolean", "description": "True where something else stands, which is kept"}
_MODULE_NUM = {"anyOf": [{"required": ["module_num"]}, {"required": ["module"]}]}


def post_modules() -> dict[str, Any]:
    """Describe the POST of modules."""
    texts = {name: _text(100) for name in ("module_type", "asset", "sensor_type")}
    item = {
        "type": "object",
        "properties": {"module_num": _text(100, required=True), "module": _text(100, required=True), **texts},
        "additionalProperties": False,
        **_MODULE_NUM,
    }
    example = {
        "module_num": "34.B2.9F.A9",
        "module_type": "Sensor",
        "asset": "Solar Panel",
        "sensor_type": "P-Solar Panel",
    }
    stored = _row(module_resource(), conflict=_CONFLICT)
    return _post("module", "modules", "Store one module or many, all or none.", item, stored, example)


def post_readings() -> dict[str, Any]:
    """Describe the POST of readings."""
    measure = {
        "type": "object",
        "properties": {"name": _text(100, required=True), "value": {"type": "number"}},
        "required": ["name", "value"],
        "additionalProperties": False,
    }
    item = {
        "type": "object",
        "properties": {
            "module_num": _text(100, required=True),
            "module": _text(100, required=True),
            "measures": {"type": "array", "items": measure, "maxItems": 1000},
            "temperature": _NUMBER,
            "voltage": _NUMBER,
            "timestamp": {
                "type": ["string", "number", "null"],
                "format": "date-time",
                "description": "A number is seconds or milliseconds since 1970",
            },
            "description": _text(1000),
        },
        "additionalProperties": False,
        **_MODULE_NUM,
    }
    example = [
        {
            "module": "34.B2.9F.A9",
            "measures": [{"name": "VMPPT", "value": 3.29}],
            "temperature": 26,
            "voltage": 3.29,
            "timestamp": "2018-01-01 00:07:37",
        }
    ]
    text = (
        "Store one reading or many, all or none, durable when answered. The same module and timestamp again: nothing happens if it says the"
        " same, else what stands is kept and the item answers `conflict: true`. A time without an offset is UTC, none is the time of receipt."
        " `Prefer: return=minimal` answers with numbers only."
    )
    stored = _row(reading_resource(), conflict=_CONFLICT)
    return _post("rawdata", "readings", text, item, stored, example, short=True)


def post_profiles() -> dict[str, Any]:
    """Describe the POST of users."""
    item = {
        "type": "object",
        "properties": {
            "username": {"type": "string", "pattern": "^[A-Za-z0-9@.+_-]{1,150}$"},
            "password": _text(1000),
            "email": _text(254),
            "first_name": _text(150),
            "last_name": _text(150),
            "roles": {"type": "array", "items": {"enum": list(ROLES)}},
            "module_num": _text(100),
        },
        "required": ["username"],
        "additionalProperties": False,
    }
    example = {"username": "reader", "password": "long-and-hard-to-guess", "roles": ["viewer"]}
    stored = _row(PROFILE, conflict=_CONFLICT)
    text = "Make one user or many, all or none. Without `roles` it is a viewer; without `password` it can't log in by one."
    return _post("userprofile", "users", text, item, stored, example)


def post_labels() -> dict[str, Any]:
    """Describe the POST of labels."""
    item = {
        "type": "object",
        "properties": {
            "NodeID": _text(200, required=True),
            "Date": {"type": "string", "description": "The card's, in the field's local time"},
            "TrueLabel1": _text(200),
            "TrueLabel2": _text(200),
        },
        "required": ["NodeID", "Date", "TrueLabel1"],
        "additionalProperties": False,
    }
    example = {"NodeID": "Well 7", "Date": "2024-01-05T06:00:00", "TrueLabel1": "Fluid Pound"}
    stored = _row(_resource("dynalabel"))
    text = "Label one card or many, all or none. The classifier is learned anew from what is in force; a label of a card that is not here yet waits."
    return _post("dynalabel", "results", text, item, stored, example)


def decide_alarm(decision: str) -> dict[str, Any]:
    """Describe the POST of what a person says of an alarm; ``acknowledge`` or ``dismiss``."""
    dismiss = decision == "dismiss"
    field = "reason" if dismiss else "note"
    body = {
        "type": "object",
        "properties": {field: _text(1000, required=dismiss)},
        "required": ["reason"] if dismiss else [],
        "additionalProperties": False,
    }
    text = (
        "Say that an alarm is none, and why; it is not raised again while the same signal lasts."
        if dismiss
        else "Say that somebody takes care of an alarm; a body is not needed."
    )
    alarm_id = {"in": "path", "name": "alarm_id", "schema": {"type": "string"}, "required": True}
    example = {"reason": "load cell was changed"} if dismiss else {"note": "crew goes on Tuesday"}
    return _operation(
        f"{decision}_alarm",
        "post",
        "results",
        f"{text} Who said it and when is kept; the same again changes nothing. {_roles('alarm', 'POST')}",
        summary=f"{decision.capitalize()} an alarm",
        parameters=[{**alarm_id, "description": "AlarmID"}],
        requestBody={
            "required": dismiss,
            "content": {"application/json": {"schema": body, "example": example}},
        },
        responses={
            200: {"description": "The alarm as it is now", "content": _json(_row(_resource("alarm")))},
            **_answers(400, 401, 403, 404, 408, 409, 413, 415, 429, 503),
        },
    )


def databatch() -> dict[str, Any]:
    """Describe the GET of batches."""
    pairs = {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "value": {"type": ["number", "null"]}},
            "required": ["name", "value"],
        },
    }
    features = ("mean", "std", "rms", "kurtosis", "skewness", "min", "max")
    batch = {
        "type": "object",
        "properties": {
            "module_num": {"type": "string"},
            "window_size": {"type": ["integer", "string"]},
            "starting_timestamp": {"type": "string", "format": "date-time"},
            "ending_timestamp": {"type": "string", "format": "date-time"},
            "time_features": {
                "type": "object",
                "properties": {f"batch_{name}": pairs for name in features},
                "required": [f"batch_{name}" for name in features],
            },
            "frequency_features": {"type": "object"},
        },
        "required": ["module_num", "window_size", "starting_timestamp", "ending_timestamp", "time_features"],
    }
    own = [
        _parameter(
            "window_size", {"type": "integer", "minimum": 1}, "Readings of a window, in the order of time"
        ),
        _parameter(
            "window",
            {"type": "string"},
            "Length of a window, for example `15min`; windows begin at multiples since 00:00 UTC",
        ),
        _parameter("frequency", {"type": "boolean"}, "Features of the spectrum as well"),
    ]
    filters = [
        {**parameter, "required": parameter["name"] == "module_num"}
        for parameter in _filters(reading_resource())
        if parameter["name"] != "module"
    ]
    return _operation(
        "databatch",
        "get",
        "readings",
        "Features of windows of one module's readings, by `window_size` or by `window`, over its measures."
        f" {_roles('databatch', 'GET')}",
        summary="Compute features of windows",
        parameters=[*filters, *own],
        responses={
            200: {"description": "Windows", "content": _json({"type": "array", "items": batch})},
            **_answers(400, 401, 403, 429, 503),
        },
    )
