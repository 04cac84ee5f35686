"""Run the benchmarks and print their tables as Markdown: ``python -m benchmarks [room ...]``.

Without a name all of them run but those that take hours, one after the other; timings of several at once would mean nothing.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOMS = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))


def main(arguments: list[str]) -> int:
    """Print one table a room; an unknown name is an error that lists the known ones."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rooms", nargs="*", metavar="room", help=", ".join(ROOMS))
    parser.add_argument("--cache", type=Path, help="folder where fields are kept (truth, failures)")
    parser.add_argument(
        "--judged", action="store_true", help="judged seeds, for figures that are told (truth, failures)"
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[], help="these seeds instead (truth, failures)"
    )
    parser.add_argument(
        "--often", action="store_true", help="fields whose failures come three times as often (failures)"
    )
    parser.add_argument("--ablation", action="store_true", help="what each part of the learner gave (truth)")
    parser.add_argument(
        "--size",
        type=int,
        nargs=2,
        metavar=("WELLS", "DAYS"),
        help="size of the foreign fields (truth, failures), 40 120 by default, 40 360 for failures",
    )
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.rooms if name not in ROOMS]:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(ROOMS)}", file=sys.stderr)
        return 2
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}{load}"
    )
    given = {name: getattr(asked, name) for name in ("cache", "judged", "seeds", "ablation", "often")}
    if asked.size:
        given["size"] = tuple(asked.size)
    for name in asked.rooms or ROOMS:
        room = importlib.import_module(f"benchmarks.bench_{name}")
        if not asked.rooms and getattr(room, "ON_REQUEST", False):
            continue
        taken = inspect.signature(room.rows).parameters
        rows = room.rows(**{key: value for key, value in given.items() if key in taken})
        print(f"\n### {name}\n\n| what | figure | unit | |\n|---|---:|---|---|")
        for row in rows:
            figure = row["figure"]
            shown = (
                f"{figure:,.0f}"
                if isinstance(figure, (int, float)) and abs(figure) >= 100
                else f"{figure:.3g}"
            )
            print(f"| {row['name']} | {shown} | {row['unit']} | {row.get('note', '')} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
