"""Cards drawn with characters."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from oasis_pipeline.plotting.terminal import draw_loop


def test_a_rectangle_touches_all_sides() -> None:
    lines = draw_loop(np.array([0.0, 1.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0, 1.0]), width=4, height=2)
    assert lines == ["⡏⠉⠉⢹", "⣇⣀⣀⣸"]


def test_up_is_up() -> None:
    lines = draw_loop(np.array([0.0, 1.0, 2.0]), np.array([0.0, 5.0, 0.0]), width=9, height=3)
    assert len(lines[0].strip("\u2800")) < len(lines[2].strip("\u2800"))


@example(np.array([[-1.7e308, 1.7e308, 0.0], [0.0, 1e300, -1e300]]))
@example(np.array([[5e-324, 0.0, 1e-320], [0.0, 0.0, 0.0]]))
@given(arrays(np.float64, st.tuples(st.just(2), st.integers(0, 30))))
def test_any_points_are_drawn_inside_of_the_frame(points: np.ndarray) -> None:
    with np.errstate(all="ignore"):
        lines = draw_loop(*points, width=10, height=3)
    assert len(lines) in (0, 3)
    assert all(len(line) <= 10 for line in lines)
