"""Pictures of the report of a field's data."""

from xml.etree import ElementTree

import numpy as np
import pytest

from oasis_pipeline.learning.describe import summarize, survival
from oasis_pipeline.plotting.analysis import (
    bars_svg,
    correlations_svg,
    coverage_svg,
    histogram_svg,
    share_svg,
    survival_svg,
    write_column,
    write_figure,
)


def elements(svg: str, kind: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter(kind))


def test_each_bin_with_values_is_a_bar_and_lines_mark_median_and_zero():
    summary = summarize(np.arange(-20.0, 80.0), bins=10)
    svg = histogram_svg(summary, zero=True, title="a <b>")
    assert len(elements(svg, "rect")) == 10
    assert len(elements(svg, "path")) == 3
    assert "a &lt;b&gt;" in svg
    assert elements(histogram_svg(summarize([])), "rect") == []


def test_a_day_without_cards_is_left_empty():
    svg = coverage_svg(
        ["W <1>", "W 2"], ["2025-01-01", "2025-01-02"], [[3, 0], [2, 2]], links=["/a?b=1&c", "/d"]
    )
    titles = [each.text for each in elements(svg, "title")]
    assert titles == ["W <1>", "2025-01-01: 3", "W 2", "2025-01-01 to 2025-01-02: 2"]
    assert [each.get("href") for each in elements(svg, "a")] == ["/a?b=1&c", "/d"]
    assert elements(coverage_svg([], [], np.zeros((0, 0))), "rect") == []


def test_a_pair_without_a_correlation_is_left_empty():
    table = np.array([[1.0, 0.5, np.nan], [0.5, 1.0, -0.004], [np.nan, -0.004, 1.0]])
    svg = correlations_svg(["a", "b & c", "d"], table)
    texts = [each.text for each in elements(svg, "text")]
    assert "+0.50" in texts
    assert "+0.00" in texts, "nothing has no sign against"
    assert len(elements(svg, "rect")) == 2


def test_a_curve_goes_down_at_each_failure():
    svg = survival_svg(
        {"Pump": survival([10.0, 20.0, 30.0], [True, True, False]), "Rod": survival([5.0], [False])}
    )
    (curve,) = (each for each in elements(svg, "path") if (each.get("d") or "").count("V") == 2)
    assert "Pump" in svg
    assert "Rod" not in svg, "none has failed"
    assert curve.get("stroke") == "var(--surface)"
    assert survival_svg({}) == ""


def test_counts_have_names_and_figures():
    texts = [each.text for each in elements(bars_svg([3, 0, 1], ["a", "b", "<c>"]), "text")]
    assert texts == ["a", "3 (75 %)", "b", "0 (0 %)", "<c>", "1 (25 %)"]
    assert 'width="100.0"' in share_svg(7.0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (12345.6, "12,346"),
        (12.34, "12.3"),
        (0.123, "0.12"),
        (5.0, "5"),
        (-0.001, "0.00"),
    ],
)
def test_figures_have_three_digits(value, text):
    assert write_figure(value) == text


def test_columns_are_written_in_words():
    assert write_column("peak_gearbox_torque_in_lbf") == "peak gearbox torque"
    assert write_column("net_stroke_in") == "net stroke"
    assert write_column("SPM") == "SPM"
