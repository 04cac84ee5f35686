"""Learn the base model of failures on the tuning fields and put it into the package.

    python -m benchmarks.base_failure_model --fields FOLDER

Belongs here: from kept fields (``benchmarks.failure_fields``) to the artifact. The fields that figures are told of are not among
them.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.failure_fields import DAYS, KINDS, TUNING_SEEDS, FieldTables, kept_field
from oasis_pipeline.learning.failures.base import BASE_FILE, BASE_VERSION
from oasis_pipeline.learning.failures.channels import CHANNELS, SOURCE_COLUMNS, channel_columns
from oasis_pipeline.learning.failures.forecaster import Learnable, fit_base, learnable, pack_forecaster
from oasis_pipeline.learning.failures.log import DAY_MS, NEVER, FailureLog, Life
from oasis_pipeline.learning.failures.windows import DailyRows, daily_rows

CLASSES = ("BHA", "Pump", "Rod", "Tubing")


@dataclass(frozen=True)
class Prepared:
    """A field ready to learn from and to be judged on.

    Attributes
    ----------
    data : Learnable
    rows : DailyRows
    life : Life
    nodes : list of str
    sudden : ndarray of bool, shape (failures,)
        Of each failure of ``data.log``.
    first_day : int
        Since 1970.
    """

    data: Learnable
    rows: DailyRows
    life: Life
    nodes: list[str]
    sudden: NDArray[np.bool_]
    first_day: int

    def at(self, day: float) -> int:
        """Time of a day of the field, ms."""
        return int((self.first_day + day) * DAY_MS)


def prepared(field: FieldTables, truth: bool = False) -> Prepared:
    """Take a field's tables through the platform's windows.

    Parameters
    ----------
    field : FieldTables
    truth : bool
        Take the true severities in place of the platform's quantities: what could be had at most.

    Returns
    -------
    Prepared
    """
    cards, failures = field.cards, field.failures
    nodes = sorted(set(cards["NodeID"].to_pylist()))
    number = {node: place for place, node in enumerate(nodes)}

    def ms(column: NDArray[np.datetime64]) -> NDArray[np.int64]:
        return column.astype("datetime64[ms]").astype(np.int64)

    well = np.array([number[node] for node in cards["NodeID"].to_pylist()])
    if truth:
        columns = {name: cards[name].to_numpy() for name in cards.column_names if name.startswith("true ")}
    else:
        columns = channel_columns(
            {name: cards[name].to_numpy() for name in SOURCE_COLUMNS if name in cards.column_names}
        )
        assert tuple(columns) == CHANNELS
    rows = daily_rows(well, ms(cards["Date"].to_numpy()), columns)
    ends = failures["Failure End Date"].to_numpy()
    start, end = ms(failures["Failure Start Date"].to_numpy()), np.where(np.isnat(ends), NEVER, ms(ends))
    of = np.array([number[node] for node in failures["NodeID"].to_pylist()], np.int64)
    log = FailureLog.of(
        of,
        start,
        end,
        ms(failures["known_from"].to_numpy()),
        failures["failure_class"].to_pylist(),
        CLASSES,
    )
    first = np.full(len(nodes), np.iinfo(np.int64).max)
    np.minimum.at(first, rows.well, rows.day)
    data, life = learnable(rows, log, nodes, first)
    sudden = failures["sudden"].to_numpy(zero_copy_only=False)[np.lexsort((start, of))]
    return Prepared(data, rows, life, nodes, sudden, int(rows.day.min()))


def end_to_end(fields: list[Prepared]) -> Learnable:
    """Lay fields end to end as one of all their wells.

    Parameters
    ----------
    fields : list of Prepared

    Returns
    -------
    Learnable
    """
    wells = np.cumsum([0, *(len(field.nodes) for field in fields)])

    def joined(pick: str) -> NDArray[np.int64]:
        return np.concatenate([getattr(field.data, pick) for field in fields])

    logs = [field.data.log for field in fields]
    log = FailureLog(
        np.concatenate([own.well + first for own, first in zip(logs, wells[:-1], strict=True)]),
        *(
            np.concatenate([getattr(own, name) for own in logs])
            for name in ("start_ms", "end_ms", "known_ms", "label")
        ),
        logs[0].classes,
    )
    return Learnable(
        np.concatenate([field.data.well + first for field, first in zip(fields, wells[:-1], strict=True)]),
        joined("time_ms"),
        np.concatenate([field.data.features for field in fields]),
        fields[0].data.names,
        joined("life"),
        joined("fold"),
        log,
    )


def main() -> None:
    """Learn and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--fields", type=Path, required=True, help="folder of benchmarks.failure_fields")
    folder: Path = parser.parse_args().fields
    fields = [prepared(kept_field(kind, seed, folder)) for seed in TUNING_SEEDS for kind in KINDS]
    data = end_to_end(fields)
    forecaster = fit_base(data, fields[0].at(DAYS + 1))
    packed, sha256, _ = pack_forecaster(
        forecaster,
        {
            "version": BASE_VERSION,
            "learned_on": "simulated fields, half of them with decoys",
            "seeds": list(TUNING_SEEDS),
            "wells": len(data.fold),
            "failures": len(data.log),
        },
    )
    BASE_FILE.write_bytes(packed)
    BASE_FILE.with_suffix(".sha256").write_text(sha256 + "\n", encoding="ascii")
    print(
        f"{BASE_FILE.name}: {len(packed) / 1e3:.0f} kB, threshold {forecaster.threshold:.3f}, {len(data.log)} failures"
    )


if __name__ == "__main__":
    main()
