"""From tables to decisions: what state a well is in, what it truly makes, what it loses, and what to do about it first.

Here: pure functions on arrays of wells and days, without Dagster or a database. Not here: reading tables (``assets``), the physics
of a card (``physics``), probabilities (``learning``).

Arrays called *grids* have shape (wells, days): days follow each other without gaps, NaN where nothing is known. Whatever is
computed for a day uses that day and earlier ones only.
"""

from oasis_pipeline.decisions.economics import Economics, EconomicsError, parse_economics
from oasis_pipeline.decisions.losses import attainable_rate, lost_rate
from oasis_pipeline.decisions.possible_wells import Past, Points
from oasis_pipeline.decisions.production import Production, reconcile_production
from oasis_pipeline.decisions.setpoints import Setpoints, advise_setpoints
from oasis_pipeline.decisions.states import WellState, find_states
from oasis_pipeline.decisions.worklist import ACTIONS, Line, WellDay, rank_lines, write_line

__all__ = [
    "ACTIONS",
    "Economics",
    "EconomicsError",
    "Line",
    "Past",
    "Points",
    "Production",
    "Setpoints",
    "WellDay",
    "WellState",
    "advise_setpoints",
    "attainable_rate",
    "find_states",
    "lost_rate",
    "parse_economics",
    "rank_lines",
    "reconcile_production",
    "write_line",
]
