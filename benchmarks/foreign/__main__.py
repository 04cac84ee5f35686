"""Write the foreign field: ``python -m benchmarks.foreign FOLDER --seed N [--wells 40] [--days 120] [--lifelike]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import DEVELOPMENT_SEEDS, JUDGED_SEEDS
from .files import DAYS, LIFELIKE_DAYS, WELLS, write_field


def main() -> int:
    """Write one field; a folder that holds one already is an error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.foreign", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--seed",
        type=int,
        required=True,
        help=f"for development {', '.join(map(str, DEVELOPMENT_SEEDS))}; judged {', '.join(map(str, JUDGED_SEEDS))}",
    )
    parser.add_argument("--wells", type=int, default=WELLS)
    parser.add_argument("--days", type=int, help=f"{DAYS}, of a lifelike field {LIFELIKE_DAYS} by default")
    parser.add_argument(
        "--lifelike",
        action="store_true",
        help="failures as rare as real ones, with workovers before the data",
    )
    asked = parser.parse_args()
    days = (LIFELIKE_DAYS if asked.lifelike else DAYS) if asked.days is None else asked.days
    if asked.wells < 2 or days < 1:
        parser.error("a field has two wells and one day at least")
    try:
        write_field(asked.folder, asked.seed, asked.wells, days, asked.lifelike)
    except FileExistsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
