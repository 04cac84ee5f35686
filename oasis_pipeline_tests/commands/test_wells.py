"""What `oasis wells NODEID` says of a well."""

from typing import Any

from oasis_pipeline.commands.wells import _lines
from oasis_pipeline.schema import table

STATUS: dict[str, Any] = {column.name: None for column in table("clean", "wellstatus").columns}


def said(**status: Any) -> dict[str, str]:
    return dict(_lines({**STATUS, "reason": "", **status}, {}))


def test_codes_are_told_in_words() -> None:
    lines = said(
        missing=["no_survey", "no_test"],
        disagreements=["rate_unsure", "test_below_inferred"],
        reason="Test the well. The rate may be off by a third or more: no recent test of this condition.",
        production_bpd=40.0,
        production_source="inferred_calibrated",
        attainable_oil_bpd=20.0,
        attainable_basis="own_past",
    )
    assert lines["not known"] == "directional survey; an approved well test since the last workover"
    assert lines["contradictions"].count(".") == 1, "the reason has said the other one"
    assert lines["production"] == "40 bbl/d, inferred calibrated"
    assert lines["attainable oil"] == "20.0 bbl/d, by its own past"


def test_what_is_not_known_is_no_zero_and_one_day_is_a_day() -> None:
    lines = said(oil_bpd=0.0, Label1="Full Pump", Prob1=99.0, label_days=1, failure_prob_15d=3.0)
    assert lines["oil, three days"] == "0.0 bbl/d", "no water cut is known"
    assert lines["class"] == "Full Pump (99 %)"
    assert lines["failure within 15 d"] == "3 %"
    lines = said(test_production_bpd=30.0, test_age_d=1.2, failure_prob_15d=9.0, failure_prob_change_7d=-0.3)
    assert lines["newest approved test"] == "30 bbl/d, 1 day old"
    assert lines["failure within 15 d"] == "9 %"
    moved = said(failure_prob_15d=9.0, failure_prob_change_7d=4.2, label_days=3, Label1="X", Prob1=60.0)
    assert moved["failure within 15 d"] == "9 %, +4 points in 7 days"
    assert moved["class"] == "X (60 %), 3 days in a row"
