import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointgen.view.curves import HEIGHT, LEFT, MOST_POINTS, RIGHT, WIDTH, Chart, Line, brief, svg
from pointgen.view.curves import _powers as powers
from pointgen.view.curves import _steps as steps

MINUS = "\N{MINUS SIGN}"


def drawn(chart):
    """The element tree of a chart, and the pixels (P, 2) of each of its curves."""
    tree = ElementTree.fromstring(svg(chart))
    curves = [
        np.array([pair.split(",") for pair in line.get("points").split()], dtype=float)
        for line in tree.iter("polyline")
    ]
    return tree, curves


def texts(tree):
    return [element.text for element in tree.iter("text")]


def test_a_straight_line_is_straight_and_goes_from_edge_to_edge():
    _, (curve,) = drawn(Chart("t", [Line("a", [0, 5, 10], [1.0, 2.0, 3.0])]))
    assert curve[:, 0] == pytest.approx([LEFT, (LEFT + WIDTH - RIGHT) / 2, WIDTH - RIGHT])
    assert curve[0, 1] - curve[1, 1] == pytest.approx(curve[1, 1] - curve[2, 1], abs=0.11)
    assert 0 < curve[2, 1] < curve[0, 1] < HEIGHT


def test_lines_share_their_axes():
    first, second = Line("a", [0, 10], [0.0, 1.0]), Line("b", [5, 10], [0.5, 2.0])
    _, (one, two) = drawn(Chart("t", [first, second]))
    assert two[0, 0] == pytest.approx((one[0, 0] + one[1, 0]) / 2)
    assert two[0, 1] == pytest.approx((one[0, 1] + one[1, 1]) / 2, abs=0.11)


def test_what_falls_by_powers_is_straight_on_an_axis_of_powers():
    line = Line("a", range(4), [1e3, 1e2, 1e1, 1.0])
    tree, (curve,) = drawn(Chart("t", [line]))
    falls = np.diff(curve[:, 1])
    assert falls == pytest.approx(falls.mean(), abs=0.11)
    assert {"1", "10", "100", "1000"} <= set(texts(tree))
    _, (plain,) = drawn(Chart("t", [line], log=False))
    assert np.diff(plain[:, 1])[0] > 5 * np.diff(plain[:, 1])[1]


def test_an_axis_of_powers_is_for_positive_values_only():
    values = [1e3, 1.0, -1e-3]
    _, (curve,) = drawn(Chart("t", [Line("a", range(3), values)], log=True))
    assert curve[0, 1] < curve[1, 1] < HEIGHT


def test_what_is_not_finite_is_left_out():
    chart = Chart("t", [Line("a", range(5), [1, np.nan, 3, np.inf, 2])])
    _, (curve,) = drawn(chart)
    assert len(curve) == 3 and chart.legend == ["a 2"]
    assert texts(drawn(Chart("t", [Line("a", [1], [np.nan])]))[0]) == ["no values"]
    assert texts(drawn(Chart("t", []))[0]) == ["no values"]


def test_one_value_has_a_place():
    tree, (curve,) = drawn(Chart("t", [Line("a", [7], [0.25])]))
    assert curve.shape == (1, 2) and "0.25" in texts(tree)


def test_many_points_become_means_within_a_band():
    noise = np.random.default_rng(0).random(5000)
    tree, (curve,) = drawn(Chart("t", [Line("a", np.arange(5000), noise)]))
    assert len(curve) == MOST_POINTS and len(list(tree.iter("circle"))) == 0
    band = next(tree.iter("polygon")).get("points").split()
    band = np.array([pair.split(",") for pair in band], dtype=float)
    above, below = band[:MOST_POINTS], band[MOST_POINTS:][::-1]
    assert (above[:, 1] <= curve[:, 1]).all() and (curve[:, 1] <= below[:, 1]).all()
    assert len(svg(Chart("t", [Line("a", np.arange(10**6), np.resize(noise, 10**6))]))) < 20_000


def test_a_few_wild_values_do_not_flatten_the_rest_and_are_counted():
    values = np.concatenate([[-1e6, 1e6], np.sin(np.arange(200))])
    tree, (curve,) = drawn(Chart("t", [Line("a", np.arange(202), values)]))
    assert "2 values outside" in texts(tree)
    assert np.ptp(curve[2:, 1]) > HEIGHT / 3


def test_texts_are_text():
    chart = Chart("a < b", [Line("<i>", [0, 1], [0, 1])], x_name="x & y", y_name="<y>")
    tree, _ = drawn(chart)
    assert {"x & y", "<y>"} <= set(texts(tree))
    assert tree.get("aria-label") == "a < b over x & y; at the end <i> 1"


def test_colours_are_those_of_the_page():
    text = svg(Chart("t", [Line(name, [0, 1], [0, 1]) for name in "ab"]))
    assert re.findall(r"stroke:(var\(--line-\d), #", text) == ["var(--line-0", "var(--line-1"]


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_marks_of_an_axis_lie_on_it(low, length):
    high = low + length
    ticks = steps(low, high, 5)
    assert 2 <= len(ticks) <= 9 or length < 1e-9 * abs(low)
    slack = 1e-9 * max(abs(low), abs(high))
    assert all(low - slack <= tick <= high + slack for tick in ticks)


@given(st.floats(-12, 12), st.floats(1.4, 20))
def test_marks_of_an_axis_of_powers_lie_on_it(start, decades):
    low, high = 10**start, 10 ** (start + decades)
    ticks = powers(low, high)
    assert 2 <= len(ticks) <= 9 and all(low <= tick <= high for tick in ticks)
    ratios = np.diff(np.log10(ticks))
    assert ratios.min() > 0.29 and math.isclose(ratios.max(), ratios.max())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (1.0, "1"), (0.1234, "0.123"), (1234.5, "1234"), (45_600, "45.6k"),
        (2e6, "2M"), (3e10, "30G"), (1e-5, f"1e{MINUS}5"),
        (-0.5, f"{MINUS}0.5"), (-20_000, f"{MINUS}20k"),
    ],
)  # fmt: skip
def test_brief(value, text):
    assert brief(value) == text
