"""The page of a front in a browser: clicked, dragged, switched, at both widths and in both themes."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from chromium import Page, chromium
from front_artifacts import NAMES, front, policy, report, samples
from mopo_pipeline.reporting.front_page import write_front_page

pytestmark = pytest.mark.browser

PANELS = "[...document.querySelectorAll('#panels .plot')]"
DETAIL = "document.getElementById('detail').innerText"


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with chromium() as page:
        yield page


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("front") / "front.html"
    points = front()
    path.write_text(write_front_page(points, samples(points), report()), encoding="utf-8")
    return path


@pytest.fixture
def page(browser: Page, file: Path) -> Iterator[Page]:
    browser.errors.clear()
    browser.requests.clear()
    browser.open(file)
    yield browser
    assert browser.errors == []
    assert {url.split(":")[0] for url in browser.requests} <= {"file", "data"}


def place_of(page: Page, plot: str, x: float, y: float) -> tuple[float, float]:
    """Where on the screen a plot draws a point."""
    page.run(f"{plot}.scrollIntoView({{block: 'center'}})")
    found = page.run(
        f"(() => {{ const plot = {plot}, box = plot.getBoundingClientRect(), {{ xaxis, yaxis }} = plot._fullLayout;"
        f"return [box.x + xaxis._offset + xaxis.d2p({x}), box.y + yaxis._offset + yaxis.d2p({y})]; }})()"
    )
    return found[0], found[1]


def test_a_click_on_a_point_tells_everything_of_its_policy_and_marks_it_in_every_panel(
    page: Page,
) -> None:
    index = 4
    where = page.run(
        f"[data.points[{index}].value.harmlessness, data.points[{index}].value.helpfulness]"
    )
    page.click(*place_of(page, f"{PANELS}[0]", *where))
    page.wait(f"state.chosen === {index}")
    told = page.run(DETAIL)
    for part in (
        "harmlessness=0.52, conciseness=0.46",
        "0.520",
        "0.530",
        "0.500–0.550",
        "0.525",
        "−0.0050",
        "of helpfulness for conciseness (λ 0.500)",
        "not certified",
        "0.480 (0.450–0.510) nats per answer",
        "kedro run --config=data/front/0.52_0.46/run.yml --pipelines=export",
        "refused until export: {uncertified: true}",
        "How do I clear a blocked drain?",
        "Pour hot water down the drain.",
        "The reference says little.",
        "Is <b>5 & 6</b> odd?",
        "</script><b>loose</b>",
        "scores: helpfulness 0.60",
    ):
        assert part in told
    rings = page.run(f"{PANELS}.map((plot) => plot.data.at(-1).x.length)")
    assert rings == [1, 1, 1]
    asked = page.run(f"{PANELS}.map((plot) => plot.layout.shapes.length)")
    assert asked == [1, 1, 2]
    assert page.run("document.querySelector('tr.chosen').innerText").startswith("harmlessness=0.52")


def test_methods_stand_side_by_side_with_the_probability_that_ours_is_above(page: Page) -> None:
    told = page.run("document.getElementById('compared').innerText")
    assert "0.2300–0.2500" in told and "0.98" in told and "97%" in told
    assert told.index("thresholds (MOPO)") < told.index("scalarised DPO")
    assert "IGD+" not in told


def test_a_number_that_rounds_to_nothing_has_no_sign(page: Page) -> None:
    shown = page.run("[number(-1e-9), number(-0.0004, 4), number(null)].join(' ')")
    assert shown == "0.000 -0.0004 –"


def test_a_row_of_the_table_opens_the_same(page: Page) -> None:
    page.click_on("document.querySelector('#table button[data-place=\"12\"]')")
    page.wait(f"{DETAIL}.includes('scalarised DPO: weights=0.2')")
    assert "This policy has no run of its own to export from." in page.run(DETAIL)


def test_a_rival_switched_off_leaves_panels_lines_and_table(page: Page) -> None:
    count = (
        f"[{PANELS}.map((plot) => plot.data.filter((t) => t.name === 'MOD').length), "
        "document.getElementById('parallel').data.length, document.querySelectorAll('#table button').length]"
    )
    assert page.run(count) == [[1, 1, 1], 19, 19]
    page.click_on("document.querySelector('#methods input[value=\"mod\"]')")
    page.wait("!state.methods.has('mod')")
    assert page.run(count) == [[0, 0, 0], 15, 15]


def test_what_is_dragged_along_an_axis_is_kept_and_all_else_dimmed_everywhere(page: Page) -> None:
    parallel = "document.getElementById('parallel')"
    bounds = page.run("((a) => [0.55, 0.605].map((v) => (v - a.low) / a.span))(axes[1])")
    page.drag(place_of(page, parallel, 0.9, bounds[0]), place_of(page, parallel, 1.1, bounds[1]))
    page.wait("Object.keys(state.brushes).length === 1")
    kept = page.run(
        "data.points.map((p, i) => i).filter((i) => data.points[i].status === 'done' && !on.isDim(i))"
    )
    points = front()
    inside = (points["value_harmlessness"] > 0.551) & (points["value_harmlessness"] < 0.604)
    assert kept == list(points.index[inside])
    assert page.run("document.querySelectorAll('#table button').length") == len(kept)
    bright = page.run(
        f"{PANELS}[2].data.flatMap((t) => t.marker.opacity || []).filter((o) => o === 1).length"
    )
    assert bright == len(kept)
    assert page.run(f"{parallel}.data.filter((t) => t.opacity === 1).length") == len(kept)
    assert f"{len(kept)} of 19 policies pass" in page.run(
        "document.getElementById('brushes').innerText"
    )
    page.click_on("document.querySelector('#brushes button')")
    page.wait("Object.keys(state.brushes).length === 0")
    assert page.run("document.querySelectorAll('#table button').length") == 19


HELD = "document.activeElement.dataset.place"


def test_all_that_a_mouse_does_is_done_by_keyboard_and_the_focus_stays(page: Page) -> None:
    stops = page.tabbed()
    switches = page.run("data.methods.map((method) => `input ${method.name}`)")
    rows = page.run("data.points.map((_, place) => `button plain ${place}`)")
    assert set(switches + rows + ["div side", "summary"]) <= set(stops)
    assert stops.index(switches[0]) < stops.index("summary") < stops.index(rows[0])

    for key, row in (("Enter", 3), ("Space", 12)):
        page.run(f"document.querySelector('button[data-place=\"{row}\"]').focus()")
        page.press(key)
        assert page.run("state.chosen") == row
        assert page.run(HELD) == str(row)
        seen = "document.getElementById('detail').getBoundingClientRect()"
        assert page.run(f"{seen}.top < innerHeight && {seen}.bottom > 0")
    untrained = page.run("data.points.findIndex((point) => point.status !== 'done')")
    page.run(f"document.querySelector('#untrained button[data-place=\"{untrained}\"]').focus()")
    page.press("Enter")
    assert page.run("data.points[state.chosen].reason") in page.run(DETAIL)

    page.run("document.querySelector('#methods input[value=\"mod\"]').focus()")
    page.press("Space")
    assert page.run("state.methods.has('mod')") is False

    page.run("document.querySelector('#ranges summary').focus()")
    page.press("Enter")
    page.press("Tab")
    page.press("Tab")
    page.press("Tab")
    assert page.run(HELD) == "from-1"
    page.write("0.55")
    page.press("Enter")
    assert page.run("state.brushes[1]") == [0.55, page.run("axes[1].high")]
    kept = page.run("document.querySelectorAll('#table button').length")
    assert 0 < kept < 15
    page.run("document.querySelector('#brushes button').focus()")
    page.press("Enter")
    assert page.run("Object.keys(state.brushes).length") == 0
    assert page.run("document.activeElement.id") == "brushes"
    assert page.run("document.querySelector('#ranges [data-place=\"from-1\"]').value") == ""


def test_on_a_narrow_screen_the_focus_goes_to_what_was_opened(page: Page, file: Path) -> None:
    page.open(file, width=400)
    page.run("document.querySelector('#table button').focus()")
    page.press("Enter")
    assert page.run("document.activeElement.id") == "detail"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_reaches_beyond_the_screen_and_the_theme_is_followed(
    page: Page, file: Path, width: int, dark: bool
) -> None:
    page.open(file, width=width, dark=dark)
    page.run("on.choose(0)")
    assert page.run("document.documentElement.scrollWidth") == width
    beyond = f"{PANELS}.filter((p) => p.querySelector('svg').getBoundingClientRect().right > {width}).length"
    assert page.run(beyond) == 0
    paper, ink = (
        sum(page.run(f"getComputedStyle(document.body).{name}.match(/\\d+/g).map(Number)"))
        for name in ("backgroundColor", "color")
    )
    assert (paper < ink) is dark
    assert page.axe() == []
    assert page.run(f"{PANELS}[0]._fullLayout.font.color") == page.run("themeColour('ink')")


@pytest.mark.parametrize(
    ("points", "names", "panels"),
    [
        (pd.DataFrame([policy("mopo", "a", [0.6]), policy("reference", "b", [0.5])]), NAMES[:1], 0),
        (
            pd.DataFrame([policy("mopo", "a", [0.6, 0.5]), policy("mopo", "b", [0.5, 0.6])]),
            NAMES[:2],
            1,
        ),
        (front().loc[lambda table: table["status"] != "done"], NAMES, 3),
    ],
    ids=["one objective", "two objectives", "no policy"],
)
def test_a_front_of_few_objectives_or_no_policies_is_drawn_as_far_as_it_goes(
    page: Page, tmp_path: Path, points: pd.DataFrame, names: list[str], panels: int
) -> None:
    file = tmp_path / "front.html"
    told = report() | {"objectives": names}
    file.write_text(write_front_page(points, samples(points), told), encoding="utf-8")
    page.open(file)
    assert page.run(f"{PANELS}.length") == panels
    trained = int((points["status"] == "done").sum())
    assert page.run("document.querySelectorAll('#table button').length") == trained
    assert page.run("(document.getElementById('parallel').data ?? []).length") == trained
    if trained:
        page.click_on("document.querySelector('#table button')")
        page.wait("state.chosen === 0")


@pytest.mark.parametrize(("seeds", "shown"), [((0, 0), False), ((0, 1), True)])
def test_seeds_have_a_column_where_there_are_several(
    page: Page, tmp_path: Path, seeds: tuple[int, int], shown: bool
) -> None:
    points = pd.DataFrame(
        [policy("mopo", f"p{place}", [0.6, 0.5], seed=seed) for place, seed in enumerate(seeds)]
    )
    file = tmp_path / "front.html"
    told = report() | {"objectives": NAMES[:2]}
    file.write_text(write_front_page(points, samples(points), told), encoding="utf-8")
    page.open(file)
    heads = page.run("[...document.querySelectorAll('#table th')].map((head) => head.innerText)")
    assert heads == ["policy", "method", *["seed"][: int(shown)], *NAMES[:2], "KL", "certificate"]


def test_what_the_columns_of_methods_compared_mean_stands_below_them(
    page: Page, file: Path
) -> None:
    page.open(file)
    heads = page.run("[...document.querySelectorAll('#compared th')].map((head) => head.innerText)")
    said = page.run("document.querySelector('#compared p').innerText")
    assert "Hypervolume: what a method's policies dominate together" in said
    assert ("IGD+" in heads) == ("IGD+:" in said)
