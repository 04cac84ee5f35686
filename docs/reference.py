"""Reference pages, made from the code that they describe: ``make reference`` writes them, ``--check`` says which are not current.

Here: Markdown of commands, settings, operations of the http API and metrics. Not here: what they are; that stands in the code once.
Tables and input files are written by ``oasis_pipeline.schema``.
"""

from __future__ import annotations

import re
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from oasis_pipeline.commands.main import SUBCOMMANDS, cli
from oasis_pipeline.schema import Table
from oasis_pipeline.schema.document import tables_markdown
from oasis_pipeline.schema.files_document import files_markdown
from oasis_pipeline.service.config import VARIABLES, Exposure, configure
from oasis_pipeline.settings import SECRET_VARIABLES, Settings, load_settings, variable_of
from oasis_pipeline.storage.address import Address

DOCS = Path(__file__).parent
MADE = "Made by `make reference`; the suite checks that it is current."


def pages() -> dict[str, str]:
    """Return what each made page has to be, by name."""
    with (
        tempfile.TemporaryDirectory() as home
    ):  # nothing connects; Django wants a configuration to be imported
        configure(load_settings(home), Address("127.0.0.1"), Exposure())
    service = DOCS / "data-service.md"
    return {
        "commands.md": commands_markdown(),
        "data-service.md": replace_block(service.read_text(encoding="utf-8"), "metrics", metrics_table()),
        "files.md": files_markdown(),
        "http-api.md": http_markdown(),
        "settings.md": settings_markdown(),
        "tables.md": tables_markdown(),
    }


def replace_block(page: str, name: str, text: str) -> str:
    """Put a text between ``<!-- made: name -->`` and ``<!-- end -->``."""
    begin, end = f"<!-- made: {name} -->\n", "\n<!-- end -->"
    before, found, rest = page.partition(begin)
    if not found or end not in rest:
        raise ValueError(f"the page has no block {begin.strip()} ... {end.strip()}")
    return f"{before}{begin}\n{text}{rest[rest.index(end) :]}"


def wrapped(text: str) -> str:
    """Break a paragraph at a hundred columns."""
    return textwrap.fill(" ".join(text.split()), 100, break_long_words=False, break_on_hyphens=False)


def table(heads: list[str], rows: list[list[str]]) -> str:
    """Write a table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return (
        "".join(
            "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |\n"
            for line in lines
        )
        .replace("| ---", "|---")
        .replace("--- |", "---|")
    )


# ---- commands


def commands_markdown() -> str:
    """Describe every command from its own help."""
    head = wrapped(
        "For everybody who works in a terminal: every command with its options, as `--help` prints them. "
        f"{MADE} What to do with them: [how to](how-to.md). Variables: [settings](settings.md)."
    )
    common = wrapped(
        "A command ends with 0 when it did its work, with 1 after an error, which it explains in one line on the "
        "standard error, and with 2 where it was called with options that it doesn't have."
    )
    parts = [f"# Commands\n\n{head}\n\n{common}\n\n"]
    parts.append(
        table(["command", ""], [[f"[`oasis {n}`](#oasis-{n})", text] for n, text in SUBCOMMANDS.items()])
    )
    context = click.Context(cli, info_name="oasis")
    for name in SUBCOMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        parts.extend(_command(command, click.Context(command, info_name=name, parent=context), 2))
    return "".join(parts)


def _command(command: click.Command, context: click.Context, level: int) -> Iterator[str]:
    yield f"\n{'#' * level} `{context.command_path}`\n\n"
    group = command if isinstance(command, click.Group) else None
    if group is None or group.invoke_without_command:
        yield f"    {' '.join([context.command_path, *command.collect_usage_pieces(context)])}\n\n"
    paragraphs = re.split(r"\n\s*\n", command.help or "")
    yield "\n\n".join(wrapped(_marked(paragraph)) for paragraph in paragraphs) + "\n"
    rows = []
    for option in command.get_params(context):
        record = option.get_help_record(context) if isinstance(option, click.Option) else None
        if record is not None and "--help" not in record[0]:
            rows.append([f"`{record[0].replace('[%Y-%m-%d]', 'YYYY-MM-DD')}`", _marked(record[1])])
    if rows:
        yield "\n" + table(["option", ""], rows)
    if group is not None:
        for name in group.list_commands(context):
            child = group.get_command(context, name)
            assert child is not None
            yield from _command(child, click.Context(child, info_name=name, parent=context), level + 1)


def _marked(text: str) -> str:
    """Mark what a help text names as code: options, variables and names of files."""
    text = " ".join(text.replace("\b", "").split())
    parts = re.split(r"(`[^`]*`)", text)
    for place in range(0, len(parts), 2):
        parts[place] = re.sub(
            r"(?<![\w`])(--[a-z][\w-]*|\$?OASIS_[A-Z0-9_]+|\w+_\w+|[\w/-]+\.(?:toml|csv|json|html|dyn)|\.dyn)",
            r"`\1`",
            parts[place],
        )
    return "".join(parts)


# ---- settings


def settings_markdown() -> str:
    """Describe every variable."""
    head = wrapped(
        "For whoever installs: the variables that an installation reads from its environment, or from the file `.env` "
        f"of the home folder; the environment wins, and an empty variable is none. {MADE} "
        "A value that can't be used is refused by name, before anything is done."
    )
    rows = [
        [
            f"`{variable_of(name)}`",
            _default(field.default),
            field.description or "",
        ]
        for name, field in Settings.model_fields.items()
    ]
    service = [[f"`{name}`", text] for name, text in VARIABLES.items()]
    return (
        f"# Settings\n\n{head}\n\n{table(['variable', 'default', ''], rows)}\n"
        + wrapped(
            "A secret may stand in a file instead, whose path is in the variable with `_FILE` at its end, such as "
            f"`OASIS_PASS_FILE=/run/secrets/oasis_pass`: {', '.join(f'`{name}`' for name in SECRET_VARIABLES)}. "
            "The end of its line does not count, an empty file is no secret, and both at once are refused."
        )
        + "\n\n"
        + wrapped(
            "Where they matter: [live source](live-source.md), [deployment](deployment.md), [many machines](many-machines.md), [damping]"
            "(physics/diagnosis.md#damping). `OASIS_TRACE=1` adds the traceback to a command's error."
        )
        + "\n\n## The data service\n\n"
        + wrapped(
            "Read from the environment only, when [`oasis serve` or `oasis up`](commands.md#oasis-serve) starts."
        )
        + f"\n\n{table(['variable', ''], service)}\n"
        + wrapped(
            "Files of the home folder hold the rest: `economics.toml` ([decisions](decisions.md)), `alerts.toml` "
            "([alerts](alerts.md)), `source.toml` ([live source](live-source.md)), `models.toml` and `failure_classes.toml` "
            "([how to](how-to.md))."
        )
        + "\n"
    )


def _default(value: Any) -> str:
    return (
        "" if value is None or value == "" else f"`{value:g}`" if isinstance(value, float) else f"`{value}`"
    )


# ---- http API


def http_markdown() -> str:
    """Describe every operation from the OpenAPI document of the service."""
    from oasis_pipeline.service.api import api
    from oasis_pipeline.service.resources import readable_tables

    tables = {f"/api/{name}/": found for name, found in readable_tables().items()}
    paths: dict[str, Any] = api.get_openapi_schema(path_prefix="/api/")["paths"]
    operations = [(path, verb, found) for path, item in paths.items() for verb, found in item.items()]
    head = wrapped(
        "For programs: every operation of the data service, from its OpenAPI document, which a running service "
        f"gives at `/api/openapi.json` and shows at `/api/docs`. {MADE} How to log in, filter and page, with "
        "examples: [data service](data-service.md)."
    )
    parts = [f"# Http API\n\n{head}\n"]
    for tag in dict.fromkeys(found["tags"][0] for _, _, found in operations):
        rows = [
            [
                f"`{verb.upper()} {path}`",
                found["summary"] + _of_table(tables.get(path)),
                _roles(found["description"]),
            ]
            for path, verb, found in operations
            if found["tags"][0] == tag
        ]
        parts.append(f"\n## {tag.capitalize()}\n\n{table(['operation', '', 'for'], rows)}")
    parts.append(
        "\n## What can be asked for\n\n"
        + wrapped(
            "Every field of a resource is a filter, and has the lookups of [get rows](data-service.md#get-rows). Fields are the "
            "columns of its [table](tables.md). Besides, each `GET` takes:"
        )
        + "\n\n"
    )
    asked: dict[str, Any] = {}
    for _, verb, found in operations:
        if verb == "get":
            asked |= {
                p["name"]: p
                for p in found["parameters"]
                if p["name"] in ("order_by", "limit", "cursor", "format", "fields")
            }
    windows = [
        p for p in paths["/api/databatch/"]["get"]["parameters"] if p["name"] not in _filter_names(paths)
    ]
    parts.append(table(["parameter", ""], [[f"`{p['name']}`", p["description"]] for p in asked.values()]))
    parts.append("\n`GET /api/databatch/` takes:\n\n")
    parts.append(table(["parameter", ""], [[f"`{p['name']}`", p["description"]] for p in windows]))
    parts.append(
        "\n## What is sent\n\n"
        + wrapped(
            "An object, an array of objects, or one object a line. A field that is not listed is refused."
        )
        + "\n"
    )
    for path, verb, found in operations:
        if "requestBody" in found:
            parts.extend(_body(path, verb, found))
    statuses: dict[str, str] = {}
    for _, _, found in operations:
        statuses |= {
            code: answer["description"] for code, answer in found["responses"].items() if int(code) != 200
        }
    parts.append(
        "\n## What can be answered\n\n" + wrapped("200 with rows or with what is stored, or:") + "\n\n"
    )
    parts.append(table(["status", ""], [[str(code), statuses[code]] for code in sorted(statuses)]))
    return "".join(parts)


def _of_table(found: Table | None) -> str:
    return f": [`{found.schema}.{found.name}`](tables.md#{found.schema}{found.name})" if found else ""


def _filter_names(paths: dict[str, Any]) -> set[str]:
    return {p["name"] for p in paths["/api/rawdata/"]["get"]["parameters"]} | {"module_num__in", "module"}


def _roles(description: str) -> str:
    found = re.search(r"For ([a-z, ]+)\.$", description)
    return found[1] if found else ""


def _body(path: str, verb: str, found: dict[str, Any]) -> Iterator[str]:
    item = found["requestBody"]["content"]["application/json"]["schema"]
    item = item.get("oneOf", [item])[0]
    yield f"\n### `{verb.upper()} {path}`\n\n"
    yield wrapped(re.sub(r" For [a-z, ]+\.$", "", found["description"])) + "\n\n"
    needed = set(item.get("required", ()))
    yield table(
        ["field", "type", ""],
        [
            [f"`{name}`", _type(field) + (", needed" if name in needed else ""), field.get("description", "")]
            for name, field in item["properties"].items()
        ],
    )


def _type(schema: dict[str, Any]) -> str:
    """Name the type of a field in words."""
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(_type(each) for each in schema[key]))
    kind = schema.get("type", "any")
    kinds = [each for each in (kind if isinstance(kind, list) else [kind]) if each != "null"]
    words = {
        "array": "array",
        "object": "object",
        "integer": "integer",
        "number": "number",
        "string": "text",
        "boolean": "boolean",
    }
    text = " or ".join(words.get(each, each) for each in kinds)
    longest = schema.get("maxLength")
    if kinds == ["array"] and "items" in schema:
        text = f"array of {_type(schema['items'])}"
    return f"{text} of {longest:,} characters at most" if longest else text


# ---- metrics


def metrics_table() -> str:
    """List every metric with its kind and label."""
    from oasis_pipeline.service.metrics import METRICS

    rows = [
        [f"`{name}`", kind, f"`{label}`" if label else "", text]
        for name, (kind, label, text) in METRICS.items()
    ]
    return table(["metric", "kind", "label", ""], rows)


if __name__ == "__main__":
    stale = {
        name: text
        for name, text in pages().items()
        if not (DOCS / name).exists() or (DOCS / name).read_text(encoding="utf-8") != text
    }
    if sys.argv[1:] == ["--check"]:
        sys.exit(f"not current: {', '.join(stale)}. Run: make reference" if stale else 0)
    for name, text in stale.items():
        (DOCS / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"docs/{name}\n")
