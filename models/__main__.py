"""Make the models that come with the package: ``python -m models [name ...] [--keep FOLDER]``.

Without a name all are made, the networks first, for the classifier rests on them. It takes hours.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from models import base_classifier, card_forecaster, change_network, severity_network

MODELS: dict[str, Callable[[Path], None]] = {
    "severities": severity_network.write_network,
    "changes": change_network.write_network,
    "classifier": base_classifier.write_base,
    "cards": card_forecaster.write_base,
}


def main(arguments: list[str]) -> int:
    """Make the models that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m models", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(MODELS))
    parser.add_argument(
        "--keep", type=Path, default=Path("build/models"), help="folder where simulated fields are kept"
    )
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.names if name not in MODELS]:
        print(f"no model {', '.join(unknown)}; there are {', '.join(MODELS)}", file=sys.stderr)
        return 2
    for name in MODELS:
        if name in (asked.names or MODELS):
            MODELS[name](asked.keep)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
