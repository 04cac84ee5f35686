"""Lines of trials, and the table of them.

Here: texts. Not here: the trials.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from oasis_pipeline_tests.faults.bench import Outcome


@dataclass(frozen=True)
class Line:
    """One trial."""

    number: int
    seed: int
    kind: str
    outcome: Outcome
    seconds: float

    def __str__(self) -> str:
        done = self.outcome
        result = "ok" if done.good else f"LOST {done.lost} DOUBLED {done.doubled} STUCK {done.stuck}"
        note = f" [{done.note}]" if done.note else ""
        hit = "hit" if done.hit else "miss"
        return f"{self.number:5d} {self.seed} {self.kind}: {hit} {done.where.strip()}: {result}, {self.seconds:.1f} s{note}"


def table(lines: Sequence[Line], skipped: Mapping[str, Sequence[str]], seed: int) -> str:
    """Table of trials by kind, in Markdown.

    Parameters
    ----------
    lines : sequence of Line
    skipped : mapping of str to sequence of str
        Kinds that were left out, with the tools that they lack.
    seed : int
        Of the run.

    Returns
    -------
    str
    """
    rows = [
        "| kind | trials | that hit | lost | doubled | stuck | seconds a trial |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    names = sorted({line.kind for line in lines})
    rows += [_row(name, [line for line in lines if line.kind == name]) for name in names]
    rows.append(_row(f"**all** (seed {seed})", list(lines)))
    rows += [f"| {name}: skipped, lacks {', '.join(tools)} | | | | | | |" for name, tools in skipped.items()]
    return "\n".join(rows) + "\n"


def _row(name: str, lines: Sequence[Line]) -> str:
    hits = sum(line.outcome.hit for line in lines)
    lost = sum(line.outcome.lost > 0 for line in lines)
    doubled = sum(line.outcome.doubled > 0 for line in lines)
    stuck = sum(line.outcome.stuck > 0 for line in lines)
    seconds = sum(line.seconds for line in lines) / max(1, len(lines))
    return f"| {name} | {len(lines)} | {hits} | {lost} | {doubled} | {stuck} | {seconds:.1f} |"
