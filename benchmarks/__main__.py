"""Run the benchmarks and print their tables as Markdown: ``python -m benchmarks [room ...]``.

Without a name all of them run, one after the other; timings of several at once would mean nothing.
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOMS = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))


def main(chosen: list[str]) -> int:
    """Print one table a room; an unknown name is an error that lists the known ones."""
    unknown = [name for name in chosen if name not in ROOMS]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(ROOMS)}", file=sys.stderr)
        return 2
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}{load}"
    )
    for name in chosen or ROOMS:
        rows = importlib.import_module(f"benchmarks.bench_{name}").rows()
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
