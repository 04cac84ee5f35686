"""The reference of input files, made from the schema source so that it can't drift from it.

Here: Markdown. Not here: what a file is accepted for (``intake``), what the tables are.
"""

from __future__ import annotations

import struct
import textwrap

from oasis_pipeline.schema.model import Column, Type
from oasis_pipeline.schema.tables import CARD_BLOBS, DROP_KINDS, DropKind

_SAMPLE = (
    (0.0, 6000.0),
    (30.0, 14000.0),
    (75.0, 14500.0),
    (110.0, 14200.0),
    (120.0, 13500.0),
    (90.0, 6500.0),
    (45.0, 5800.0),
    (10.0, 5900.0),
)
"""Position (in) and load (lbf) of the points of a card, in order of time."""

_HEAD = """# Input files

For somebody who writes files for the drop folder: names, columns, units, date forms, and the
card blob byte by byte. Made from the schema source by `make reference`; the suite checks that it
is current, runs its Python and loads its sample. When a file is taken in, which row wins and where
rejected rows go: [how-to](how-to.md). What becomes of the rows: [tables](tables.md).

## Name

`<Kind>.E2E.<YYYYMMDD>.<HHMM>.csv`, for example `CardData.E2E.20250301.0600.csv`. Kind is one of
the headings below, spelled exactly so. The stamp is the time at which the file was written, in
the field's local time (`OASIS_TIMEZONE`). `.csv.gz` and `.parquet` are read as well; what else a
kind takes stands at its heading. Write under a name that ends in `.part` and rename at the end.

## Form

- The first row names the columns, in any order and case, also in `[brackets]`. Columns may be
  missing (null) or extra (ignored and named). Key columns are needed.
- UTF-8, or UTF-16 with a byte order mark. Separated by commas; by semicolons or tabs where the
  first row shows it.
- Numbers have a decimal point and no thousands separators. A number with a comma rejects its
  row.
- No value: empty, `NULL`, `(null)`, `NA`, `#N/A`, `NaN`, `None`, `\\N`, `1.#QNAN`, `-1.#IND`, in
  any case. Infinity is an error.
- Yes and no: `true`, `t`, `yes`, `y`, `1`, `-1`; `false`, `f`, `no`, `n`, `0`.
- NodeID: `#` is removed, runs of white space become one space; matched without regard to case.
- A row may be 4 MB long and have 4,096 columns.

| local times (`Date`, `TestDate`, ...) | |
|---|---|
| ISO | `2025-01-05 07:00:00.000`, `2025-01-05T07:00`, `2025/01/05 07:00` |
| m/d/yyyy | `1/5/2025 7:00 AM`, `1/5/2025 19:00:00` |
| SQL Server's text | `Jan  5 2025  7:00AM` |
| with `Z` or an offset, Parquet with a zone | `2025-01-05T07:00:00-06:00`, converted to `OASIS_TIMEZONE` |

The `timestamp` of readings takes the same forms, is UTC without an offset, and may be seconds or
milliseconds since 1970. Times are kept to the millisecond. A `Date`, `TestDate` or `Failure
Start Date` after the minute of the file's stamp rejects its row.

## The card blob
"""

_BLOB = """
A card is one stroke: N points (position, load), equally spaced in time over 60/SPM seconds;
nominally 200 points at the surface and 100 at the pump. The blob is 8 N bytes, IEEE-754 float32,
little-endian, without header, count or checksum: **all loads first, then all positions**, in the
same order. In csv it is written in hex (upper or lower case, `0x` or `\\x` in front allowed); in
Parquet it may be binary. Empty means no card. Any start and either direction will do.

The first point of the sample below is {position:g} in, {load:,.0f} lbf; N = {points}:

| bytes | content | sample |
|---|---|---|
| 0 to 3 | load of point 1, lbf | `{load_hex}` = {load:g} |
| 4 to 7 | load of point 2, lbf | `{load2_hex}` = {load2:g} |
| ... | | |
| 4 N to 4 N + 3 | position of point 1, in | `{position_hex}` = {position:g} |
| 4 N + 4 to 4 N + 7 | position of point 2, in | `{position2_hex}` = {position2:g} |
| ... up to 8 N - 1 | | |

Blob columns: {blobs}.

Rejected (the row): not hex, an odd number of digits, an odd number of floats, an infinite value.
Stored, but of no use: all zero, stroke 0, fewer than 8 usable points, more than 20 % NaN;
`xspoc.card` says which in `surfcard_fault`, `downcard_fault` and `pocdowncard_fault`.

A whole file `CardData.E2E.20250301.0600.csv` with one card of {points} points:

```csv
{sample}
```

Ten lines that write one:

```python
import csv, math, struct

points = [2 * math.pi * i / 200 for i in range(200)]  # one stroke, equally spaced in time
position = [60 - 60 * math.cos(t) for t in points]  # in
load = [10_000 + 4_000 * math.tanh(5 * math.sin(t)) for t in points]  # lbf
blob = struct.pack("<400f", *load, *position).hex()
with open("CardData.E2E.20250301.0600.csv", "w", newline="") as file:
    rows = csv.writer(file)
    rows.writerow(["NodeID", "Date", "SPM", "StrokeLength", "SurfaceCardB"])
    rows.writerow(["Well 1", "2025-03-01 05:30:00", 8.0, 120.0, blob])
```

## Kinds
"""

_NOTES = {
    "WellDetails": "The newest file of a pass is read first: its spelling of NodeID is shown everywhere.",
    "Rods": "RodNum 1 is the top. A file replaces the whole string of each well it names.",
    "Deviations": "A file replaces the whole survey of each well it names.",
    "Failures": "An empty end is a failure that is still open. Texts become classes by a rule file: see [how-to](how-to.md).",
    "Labels": "Any text is a class. A card has one or two, in either order.",
    "Readings": "Every further column is a measure (a number) under its own name. Of `.ndjson` each line is an object; "
    "`measures` may be an object of names and numbers, or a list of `{\"name\", \"value\"}`.",
    "PumpingUnits": "UnitType is Conventional, Mark II, Air Balanced or Simple Harmonic (then R alone is needed, half the stroke); Rotation is CW or CCW, seen with the well to the right.",
}  # fmt: skip


def files_markdown() -> str:
    """Describe every kind of drop file.

    Returns
    -------
    str
        Markdown: names and forms, the card blob, and a section a kind.
    """
    position, load = zip(*_SAMPLE, strict=True)
    words = [struct.pack("<f", value).hex() for value in (*load, *position)]
    n = len(_SAMPLE)
    blob = _BLOB.format(
        points=n,
        position=position[0],
        load=load[0],
        load2=load[1],
        position2=position[1],
        load_hex=words[0],
        load2_hex=words[1],
        position_hex=words[n],
        position2_hex=words[n + 1],
        blobs=textwrap.fill(", ".join(f"`{name}`" for name in CARD_BLOBS), 85),
        sample=sample_file(),
    )
    return _HEAD + blob + "".join(_section(kind) for kind in DROP_KINDS.values())


def sample_file() -> str:
    """Text of a ``CardData`` file with one card."""
    position, load = zip(*_SAMPLE, strict=True)
    blob = struct.pack(f"<{2 * len(_SAMPLE)}f", *load, *position).hex()
    return f"NodeID,Date,SPM,StrokeLength,SurfaceCardB\nWell 1,2025-03-01 05:30:00,8.0,120.0,{blob}"


def _section(kind: DropKind) -> str:
    key = ", ".join(f"`{name}`" for name in kind.table.key)
    extra = [suffix for suffix in kind.suffixes if suffix not in (".csv", ".csv.gz", ".parquet")]
    also = f" Also {', '.join(f'`{suffix}`' for suffix in extra)}." if extra else ""
    notes = f" {_NOTES[kind.name]}" if kind.name in _NOTES else ""
    text = f"To `{kind.table.schema}.{kind.table.name}`. Key: {key}.{also}{notes}"
    lines = [
        f"\n### {kind.name}\n\n{textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)}\n\n",
        "| column | type | unit | |\n|---|---|---|---|\n",
    ]
    for name in kind.columns:
        column = kind.table.by_name.get(name)
        if column is None:
            lines.append(f"| `{name}` | card blob | lbf, in | |\n")
        else:
            lines.append(f"| `{name}` | {_type_text(column)} | {column.unit} | {column.description} |\n")
    if kind.open_columns:
        lines.append("| any other | number | | A measure of that name |\n")
    return "".join(lines)


def _type_text(column: Column) -> str:
    return {
        Type.TEXT: "text",
        Type.FLOAT: "number",
        Type.INT: "whole number",
        Type.BOOL: "yes or no",
        Type.TIME: "local time",
        Type.UTC: "time",
    }[column.type]
