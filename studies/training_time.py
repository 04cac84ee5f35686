"""How long the default classifier takes to learn from many cards, by the clock and in processor seconds.

    python -m studies.training_time [--cards 20000] [--seed 79]

Cards are simulated, ten a well, half of the wells with surface cards only, as in the judged sets but of another seed. "Train" is `fitting.fit`: three
views, their held-out folds, calibration, thresholds and the weight of the kernel. It is not part of ``python -m benchmarks`` because of its length.
Processor seconds count all threads of this process, so they hardly depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from oasis_pipeline.learning.artifact import make_manifest, save_model
from oasis_pipeline.learning.base import simulated_training_set
from oasis_pipeline.learning.fitting import fit
from oasis_pipeline.simulation.cards import JUDGED, simulate_cards

Result = TypeVar("Result")


def main() -> None:
    """Print one row a step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cards", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=79)
    asked = parser.parse_args()
    print("| step | seconds | processor seconds |\n|---|---|---|")
    batch = timed("simulate", lambda: simulate_cards(asked.cards, asked.seed, circumstances=JUDGED))
    learned = timed("diagnose, features", lambda: simulated_training_set(batch))
    model = timed(
        "train",
        lambda: fit(
            learned.features, learned.labels, learned.wells, signatures=learned.signatures, seed=asked.seed
        ),
    )
    manifest = make_manifest(
        wells=len(set(learned.wells.tolist())),
        cards=asked.cards,
        first_day=None,
        last_day=None,
        simulated=True,
    )
    data, _ = timed("pack the artifact", lambda: save_model(model, manifest))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    weights = ", ".join(f"{name} {view.kernel_weight:g}" for name, view in model.views.items())
    print(
        f"\n{asked.cards} cards, {len(model.classes)} classes; artifact {len(data) / 1e6:.1f} MB; most memory {peak / 1e9:.1f} GB; "
        f"weight of the kernel: {weights}"
    )


def timed(name: str, work: Callable[[], Result]) -> Result:
    """Do something and print how long it took."""
    clock, processor = time.perf_counter(), time.process_time()
    result = work()
    print(
        f"| {name} | {time.perf_counter() - clock:.0f} | {time.process_time() - processor:.0f} |", flush=True
    )
    return result


if __name__ == "__main__":
    main()
