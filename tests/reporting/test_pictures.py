"""Pictures of a report: nothing cut off, nothing too small, and words for who does not see them."""

import re
from collections.abc import Iterator
from functools import cache
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from evaluated import facts
from mopo_pipeline.reporting import figures as drawing
from mopo_pipeline.reporting import fronts, training
from mopo_pipeline.reporting.picture import Picture, drawn, themed
from mopo_pipeline.reporting.style import INK, NARROW, WIDEST
from report_artifacts import FRONT, LOG, figures_of, log_of, plan_of, values_of, whole_page

pytestmark = pytest.mark.slow

MANY = ["helpfulness", "harmlessness", "a rather long objective", "conciseness", "honesty"]
SMALLEST = 9.0
"""Points."""
EDGE = 0.01
"""Inches: the antialiasing of what touches the edge."""


@pytest.fixture(scope="module", params=[1, 2, 3, 5])
def made(request: pytest.FixtureRequest) -> Iterator[dict[str, tuple[Figure, str, Figure]]]:
    """Figures of a run with so many objectives, what they say, and the same for a telephone."""
    kept: dict[str, tuple[Figure, str, Figure]] = {}

    def keep(figure: Figure, name: str, alt: str, narrow: Figure) -> Picture:
        kept[name] = figure, alt, narrow
        for one in (figure, narrow):
            one.draw_without_rendering()
        return Picture("", b"")

    patch = pytest.MonkeyPatch()
    patch.setattr(drawing, "drawn", keep)
    figures_of(MANY[: request.param], moving=True)
    patch.undo()
    yield kept


@cache
def shown() -> dict[str, Picture]:
    """Pictures of a run with three objectives, as a page has them."""
    return figures_of(MANY[:3], moving=True)


@pytest.mark.slow
def test_nothing_drawn_is_cut_off_and_no_word_is_too_small(
    made: dict[str, tuple[Figure, str, Figure]],
) -> None:
    shapes = [
        (figure, room, name)
        for name, (wide, _, narrow) in made.items()
        for figure, room in ((wide, WIDEST), (narrow, NARROW.width))
    ]
    for figure, room, name in shapes:
        width, height = figure.get_size_inches()
        reached = figure.get_tightbbox()
        assert width <= room + 1e-9, name
        assert min(reached.x0, reached.y0) > -EDGE, name
        assert reached.x1 < width + EDGE and reached.y1 < height + EDGE, name
        words = [text for text in figure.findobj(Text) if text.get_text().strip()]
        assert min(text.get_fontsize() for text in words) >= SMALLEST, name


def test_an_objective_s_agreement_with_itself_is_not_drawn(
    made: dict[str, tuple[Figure, str, Figure]],
) -> None:
    for figure in (made["agreement"][0], made["agreement"][2]):
        shown = [text.get_text() for text in figure.findobj(Text)]
        assert {text for text in shown if text[:1] in "+-" and text} <= {"-0.20"}


def test_a_picture_for_a_telephone_has_the_panels_of_the_wide_one(
    made: dict[str, tuple[Figure, str, Figure]],
) -> None:
    for name, (wide, _, narrow) in made.items():
        assert len(narrow.axes) == len(wide.axes), name
        assert [len(a.lines) for a in narrow.axes] == [len(a.lines) for a in wide.axes], name


def test_every_picture_says_its_result_in_words(
    made: dict[str, tuple[Figure, str, Figure]],
) -> None:
    names = made["value"][1].split(": ", 1)[1]
    assert names.startswith("helpfulness 0.520 [0.510, 0.530]")
    for name, (_, alt, _) in made.items():
        assert len(alt) > 20, name
        assert "nan" not in alt, name


def test_limits_hold_every_interval() -> None:
    names = MANY[:2]
    figure = fronts.front_figure(
        values_of(names, half=0.2), plan_of(names), {"optimum": None}, "preference_model", {}
    )
    [axis] = figure.axes
    assert axis.get_xlim()[0] < 0.3 < 0.72 < axis.get_xlim()[1]
    assert axis.get_ylim()[0] < 0.3 < 0.72 < axis.get_ylim()[1]


def test_the_planned_front_is_drawn_where_no_exact_one_is_known() -> None:
    names = MANY[:2]
    figure = fronts.front_figure(
        values_of(names), plan_of(names), {"optimum": None}, "preference_model", {names[1]: FRONT}
    )
    [line] = [x for x in figure.axes[0].lines if str(x.get_label()).startswith("planned front")]
    np.testing.assert_allclose(np.column_stack(line.get_data()), FRONT)
    alt = fronts.front_alt(
        values_of(names), plan_of(names), facts()["estimator"], {names[1]: FRONT}
    )
    assert "Helpfulness 0.660 with harmlessness at 0.400 and 0.400 at 0.650" in alt.replace(
        "The data would give helpfulness", "Helpfulness"
    )


def test_panels_of_what_never_moves_are_left_out() -> None:
    still = training.training_figure(LOG, LOG[["step", "weighted_nll"]])
    assert [axis.get_title(loc="left") for axis in still.axes] == [
        "Loss (logarithmic)",
        "Distance to the reference",
    ]
    assert training.multiplier_alt(log_of(MANY[:2]), plan_of(MANY[:2])) == training.STILL
    assert training.multiplier_alt(log_of(MANY[:1]), plan_of(MANY[:1])) == training.ALONE
    moving = training.multiplier_figure(log_of(MANY[:2], moving=True), plan_of(MANY[:2]))
    [axis] = moving.axes
    assert axis.get_title(loc="left").startswith("Multipliers")


def test_logarithmic_ticks_are_numbers_as_people_write_them() -> None:
    figure = training.training_figure(LOG, LOG[["step", "weighted_nll"]])
    figure.draw_without_rendering()
    shown = [t.get_text() for t in figure.axes[0].yaxis.get_ticklabels() if t.get_text()]
    assert {"0.2", "0.5", "1", "2"} <= set(shown)


@pytest.mark.slow
def test_a_picture_is_the_same_bytes_each_time_and_shares_no_id_with_another() -> None:
    log = log_of(MANY[:2], moving=True)
    one, again, other = (
        drawn(training.validation_figure(log, plan_of(MANY[:2])), name, "a < b")
        for name in ("one", "one", "other")
    )
    assert one == again
    ids = [set(re.findall(r'\bid="([^"]+)"', picture.svg)) for picture in (one, other)]
    assert ids[0]
    assert not ids[0] & ids[1]
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', one.svg))
    assert used <= ids[0]
    element = ElementTree.fromstring(one.svg)
    assert element.attrib["aria-label"] == "a < b"
    assert one.png.startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_page_in_the_dark_has_a_colour_for_everything_that_pictures_draw_in() -> None:
    page = whole_page(figures=shown())
    shapes = re.sub(
        r"<figure[^>]*><div[^>]*><svg role=\"img\" aria-label=\"Agreement.*?</figure>",
        "",
        page,
        flags=re.S,
    )
    used = set(re.findall(r"var\(--c-([0-9a-f]{6}), ", shapes))
    known = set(re.findall(r"--c-([0-9a-f]{6}):", page))
    assert INK[1:] in used
    assert used - known == set()
    assert themed("fill: #ffffff") == "fill: var(--c-ffffff, #ffffff)"


def test_a_page_stays_small_and_loads_nothing() -> None:
    page = whole_page(figures=shown())
    assert len(page.encode()) < 3_000_000
    assert "<img" not in page
    assert not re.findall(r'(?:src|href)="(?!#|data:,)', page)
