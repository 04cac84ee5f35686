"""Guidelines of labelling: the classes with their keys, how to tell them apart, and pictures of typical cards.

Here: which classes are offered and their examples, simulated and from the field's own labels. Not here: the page (``label``), and words on
classes (``label_guidelines.toml``).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from oasis_pipeline.plotting.svg import card_svg
from oasis_pipeline.service.pages.shared import PageError
from oasis_pipeline.service.warehouse import installation
from oasis_pipeline.storage.card_points import USABLE_POINTS, cards_of
from oasis_pipeline.storage.postgres import Transaction

GUIDELINES = "label_guidelines.toml"
KEYS = "1234567890qwerty"
_WELLS, _SEED, _SEVERITY = 2, 5, 0.75
_SIZE = {"width": 190, "height": 112}


@dataclass(frozen=True)
class Guideline:
    """What a labeller is told of a class.

    Attributes
    ----------
    label : str
    key : str
        On the keyboard; empty where there are more classes than keys.
    looks, unlike : str
        How its cards look, and with which class it is easily confused.
    """

    label: str
    key: str
    looks: str = ""
    unlike: str = ""


def guidelines(labels: list[str]) -> list[Guideline]:
    """Classes to choose from, in the order of their keys.

    Parameters
    ----------
    labels : list of str
        Classes of the field beside those of the guidelines; spellings that people have used.

    Returns
    -------
    list of Guideline

    Raises
    ------
    PageError
        If the file in the home folder can't be read.
    """
    told = _told(installation().home)
    spelled = {label.casefold(): label for label in labels}
    known = {entry["label"].casefold() for entry in told}
    more = sorted(label for key, label in spelled.items() if key not in known and key != "unknown")
    every = [{**entry, "label": spelled.get(entry["label"].casefold(), entry["label"])} for entry in told]
    every += [{"label": label} for label in more]
    keys = [*KEYS, *[""] * len(every)]
    return [
        Guideline(entry["label"], key, entry.get("looks", ""), entry.get("unlike", ""))
        for entry, key in zip(every, keys, strict=False)
    ]


def _told(home: Path) -> list[dict[str, str]]:
    own = home / GUIDELINES
    try:
        text = own.read_text("utf-8") if own.is_file() else _packaged()
        entries = tomllib.loads(text).get("class", [])
        if not all(
            isinstance(value, str) for entry in entries for value in (entry["label"], *entry.values())
        ):
            raise TypeError("label, looks and unlike must be text")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = f"{GUIDELINES} in the home folder can't be read ({error}): mend or remove it"
        raise PageError(503, "No guidelines", reason) from None
    return list(entries)


@lru_cache(maxsize=1)
def _packaged() -> str:
    return files("oasis_pipeline.service.pages").joinpath(GUIDELINES).read_text("utf-8")


@lru_cache(maxsize=1)
def simulated_examples() -> dict[str, list[str]]:
    """Draw typical cards of each class that the simulator knows: severe ones of two wells, the same wells for all classes.

    Returns
    -------
    dict of str to list of str
        ``<svg>`` elements by class. The first call takes a second, more where the simulator has not been compiled on this machine yet.
    """
    import numpy as np

    from oasis_pipeline.simulation import conditions
    from oasis_pipeline.simulation.cards import run_cards
    from oasis_pipeline.simulation.controller import make_controllers
    from oasis_pipeline.simulation.equipment import make_wells

    rng = np.random.default_rng(_SEED)
    wells = make_wells(_WELLS, rng)
    controllers = make_controllers(wells, rng)
    count = len(conditions.LABELS)
    well = np.tile(np.arange(_WELLS), count)
    severity = np.zeros((count * _WELLS, count))
    severity[np.arange(count * _WELLS), np.repeat(np.arange(count), _WELLS)] = _SEVERITY
    severity[:, conditions.FULL] = conditions.fullness(severity)
    batch = run_cards(well, wells.take(well), controllers.take(well), severity, rng)
    position, load = batch.pump_position_in, batch.pump_load_lbf
    # behind each card the frame of the same pump when it is full: without it a parted rod, scaled to its picture, looks like a full pump
    full = [
        (
            float(position[row].min()),
            float(position[row].max()),
            float(load[row].min()),
            float(load[row].max()),
        )
        for row in range(conditions.FULL * _WELLS, (conditions.FULL + 1) * _WELLS)
    ]
    return {
        label: [
            card_svg(
                None,
                (position[row], load[row]),
                full[well[row]],
                title=f"simulated pump card of {label}",
                **_SIZE,
            )
            for row in range(place * _WELLS, (place + 1) * _WELLS)
        ]
        for place, label in enumerate(conditions.LABELS)
    }


_OWN = f"""
with newest as (
    select distinct on (d."TrueLabel1") d."TrueLabel1", d."NodeID", d."Date" from clean.dynalabel as d
    join xspoc.card as k using ("NodeID", "Date")
    where d."TrueLabel2" is null and d."TrueLabel1" is not null and k.pocdowncard_fault is null and k.pocdowncard_load is not null
    order by d."TrueLabel1", d."Date" desc, d."NodeID"
)
select n."TrueLabel1", n."NodeID", b.pos_min, b.pos_max, b.load_min, b.load_max, {USABLE_POINTS}
from newest as n join xspoc.card as c using ("NodeID", "Date")
left join clean.dynabounds as b on b."NodeID" = c."NodeID" and b."Date" = c."Date"::date and b.card = 'pocdowncard'
"""


def own_examples(tx: Transaction) -> dict[str, str]:
    """Draw the newest pump card of the field that carries a class as its only label, for each class, over the bounds of its well.

    Parameters
    ----------
    tx : Transaction

    Returns
    -------
    dict of str to str
        An ``<svg>`` element by class.
    """
    found = tx.query(_OWN)
    pump = cards_of(found["pump_position"], found["pump_load"])
    drawn = {}
    for place, label in enumerate(found["TrueLabel1"].to_pylist()):
        edges = [found[name][place].as_py() for name in ("pos_min", "pos_max", "load_min", "load_max")]
        limits = None if None in edges else (edges[0], edges[1], edges[2], edges[3])
        title = f"pump card of {found['NodeID'][place].as_py()}"
        drawn[label] = card_svg(None, pump.row(place), limits, title=title, **_SIZE)
    return drawn
