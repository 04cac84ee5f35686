"""Small pictures as SVG text."""

import re
from xml.etree import ElementTree

import numpy as np

from oasis_pipeline.physics.well_path import Survey
from oasis_pipeline.plotting.svg import card_svg, course_svg, days_svg, path_svg, setpoint_svg

STROKE = (np.array([0.0, 50.0, 100.0, 50.0]), np.array([5000.0, 9000.0, 8000.0, 3000.0]))


def paths(svg: str) -> list[str]:
    """Paths of a picture that is well-formed XML."""
    return [found.attrib["d"] for found in ElementTree.fromstring(svg).iter("path")]


def numbers(path: str) -> list[float]:
    """Coordinates of a path."""
    return [float(text) for text in re.findall(r"-?\d+\.?\d*", path)]


def test_a_card_is_a_closed_line_inside_the_picture():
    (path,) = paths(card_svg(STROKE, width=100, height=60))
    assert path.endswith("Z")
    x, y = numbers(path)[::2], numbers(path)[1::2]
    assert (min(x), max(x), min(y), max(y)) == (2.0, 98.0, 2.0, 58.0)
    assert y[1] < y[3]  # more load is higher up


def test_pump_card_bounds_and_zero_line_are_drawn_on_the_same_scale():
    pump = (STROKE[0], STROKE[1] - 5000.0)
    svg = card_svg(STROKE, pump, (0.0, 100.0, 2000.0, 10000.0), title="A <1>")
    assert len(paths(svg)) == 3
    assert "A &lt;1&gt;" in svg
    assert 'fill="var(--band)"' in svg


def test_nothing_to_draw_is_an_empty_picture():
    assert paths(card_svg(None)) == []
    assert paths(card_svg((np.array([np.nan]), np.array([1.0])))) == []
    assert paths(course_svg([np.nan, np.nan])) == []


def test_gaps_in_a_course_stay_gaps():
    (path,) = paths(course_svg([1.0, 2.0, np.nan, 4.0], top=4.0))
    assert path.count("M") == 2
    assert path.count("L") == 1


def test_days_of_one_class_in_a_row_are_one_rectangle_and_events_are_letters():
    label = np.array([["A", "A", None, "B"], [None, None, None, "A"]], dtype=object)
    svg = days_svg(
        ["W <1>", "W 2"],
        [f"2025-01-0{n}" for n in range(1, 5)],
        label,
        {"A": "#111111", "B": "#222222"},
        {(0, 2): "F"},
    )
    root = ElementTree.fromstring(svg)
    assert len(list(root.iter("rect"))) == 3
    assert [text.text for text in root.iter("text")][-1] == "F"
    assert "W &lt;1&gt;, 2025-01-01 to 2025-01-02: A" in svg


def test_a_path_shows_tapers_by_name_and_sharp_bends_in_another_colour() -> None:
    depth = np.array([0.0, 1000.0, 1100.0, 4000.0])
    straight = Survey(depth, np.array([0.0, 1.0, 1.5, 2.0]), np.zeros(4))
    bent = Survey(depth, np.array([0.0, 1.0, 6.0, 6.0]), np.zeros(4))
    assert "var(--risk)" not in path_svg(straight)
    picture = path_svg(bent, [("0.875 <in>", 1500.0)])
    assert picture.count("var(--risk)") == 1
    assert "0.875 &lt;in&gt;" in picture
    assert "6.0 deg at most at 1,100 ft" in picture


def test_the_curve_of_a_set_point_marks_limits_and_the_advice() -> None:
    drawn = setpoint_svg(
        [8.0, 6.0, 10.0], [0.0, -2.0, 5.0], [0.0, -3.0, 1.0], [0.0, -1.0, 9.0], [True, True, False], 6.0,
        name="Speed", unit="1/min", present=8.0,
    )  # fmt: skip
    root = ElementTree.fromstring(drawn)
    assert "from -2.0 bbl/d at 6 to +5.0 at 10 1/min" in root.attrib["aria-label"]
    fills = [spot.attrib["fill"] for spot in root.iter() if spot.tag.endswith("circle")]
    assert fills == ["var(--surface)", "var(--surface)", "var(--risk)"]
    assert drawn.count(">now<") == drawn.count(">advised<") == 1
    assert drawn.rindex('stroke="var(--ink)"') < drawn.index(">now<"), "words lie over the lines"
    assert setpoint_svg([8.0], [0.0], [0.0], [0.0], [True], name="Speed", unit="1/min", present=8.0) == ""
