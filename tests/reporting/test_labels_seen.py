"""Every label of every picture and every word of the page, measured in the browser: nothing cut, nothing covered.

No screenshot is stored: the page is set in the reader's own fonts, and the machines that run this test have other fonts,
other versions of them and another smoothing, so that a stored picture would differ on every one of them or be compared
so loosely that a cut label passes. What must hold with any font is measured instead, and screenshots are compared where
both come from the same browser: a picture with its edge and without.
"""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from chromium import Page, chromium
from explored import tables
from front_artifacts import front, report, samples
from mopo_pipeline.parameters.base import TaskParams
from mopo_pipeline.reporting import picture
from mopo_pipeline.reporting.ablation import ablation_page, stability_figure, trajectory_figure
from mopo_pipeline.reporting.front_page import write_front_page
from mopo_pipeline.reporting.picture import drawn
from mopo_pipeline.reporting.style import new_figure
from report_artifacts import figures_of, whole_page
from seen import beyond_the_picture, beyond_their_container, clipped, labels, overlapping

pytestmark = pytest.mark.browser

MANY = ["helpfulness", "harmlessness", "a rather long objective", "conciseness", "honesty"]
SCREENS = [(width, dark) for width in (400, 1280) for dark in (False, True)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with chromium() as page:
        yield page


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """A page per number of objectives."""
    folder = tmp_path_factory.mktemp("reports")
    made = {}
    patch = pytest.MonkeyPatch()
    patch.setattr(picture, "DPI", 30)  # of the points, which no page shows
    for count in (1, 2, 5):
        made[count] = folder / f"{count}.html"
        figures = figures_of(MANY[:count], moving=True)
        made[count].write_text(whole_page(figures=figures), encoding="utf-8")
    patch.undo()
    return made


@pytest.mark.parametrize(("width", "dark"), SCREENS)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_no_label_leaves_its_picture_or_covers_another_and_no_word_leaves_its_box(
    browser: Page, reports: dict[int, Path], count: int, width: int, dark: bool
) -> None:
    browser.open(reports[count], width=width, dark=dark)
    browser.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert labels(browser) > 30
    assert beyond_the_picture(browser) == []
    assert overlapping(browser) == []
    assert beyond_their_container(browser) == []


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages beside the report: a front, an explorer of plans, an ablation."""
    folder, points = tmp_path_factory.mktemp("pages"), front()
    made = {
        "front": write_front_page(points, samples(points), report()),
        "explorer": tables([6] * 30).page([0.5, 0.5]),
        "ablation": ablation_of(("plan.tau=0.1,train.lag=fresh+0.9", "plan.tau=1.0", "plan.tau=9")),
    }
    for name, html in made.items():
        (folder / f"{name}.html").write_text(html, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in made}


def ablation_of(settings: tuple[str, ...]) -> str:
    """A page of two sweeps over these settings, on two objectives."""
    task = TaskParams.model_validate({"objectives": [{"name": n} for n in MANY[1:3]]})
    points = pd.DataFrame({"method": ["tau", *["lag"] * (len(settings) - 1)], "point": settings})
    points = points.assign(status="done", reason="", kl=0.4)
    for name in task.names:
        points = points.assign(**{f"value_{name}": 0.52, f"threshold_{name}": 0.5})
    log = pd.DataFrame(
        {"step": [20, 40], f"multiplier_{MANY[2]}": [0.1, 0.2], "kl_to_reference": 0.3}
    )
    logs = {f"{m}/{p}": log for m, p in zip(points["method"], points["point"], strict=True)}
    stability = drawn(stability_figure(points, task.names), "stability", "")
    trajectories = drawn(trajectory_figure(logs, task.names), "trajectories", "")
    return ablation_page(points, stability, trajectories, task)


@pytest.mark.parametrize(("width", "dark"), SCREENS)
@pytest.mark.parametrize(("name", "least"), [("front", 40), ("explorer", 15), ("ablation", 40)])
def test_the_pages_beside_the_report_cut_and_cover_no_label_either(
    browser: Page, pages: dict[str, Path], name: str, least: int, width: int, dark: bool
) -> None:
    browser.open(pages[name], width=width, dark=dark)
    if name == "explorer":
        browser.wait("state.turn > 0 && !state.busy")
    assert labels(browser) > least
    assert beyond_the_picture(browser) == []
    assert overlapping(browser) == []
    assert beyond_their_container(browser) == []
    assert browser.run("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize(("width", "dark"), [(400, True), (1280, False)])
@pytest.mark.parametrize("count", [1, 2])
def test_a_picture_looks_the_same_with_its_edge_and_without(
    browser: Page, reports: dict[int, Path], count: int, width: int, dark: bool
) -> None:
    browser.open(reports[count], width=width, dark=dark)
    assert clipped(browser) == []


@pytest.mark.parametrize("count", [1, 2])
def test_what_reaches_beyond_a_picture_is_found(
    browser: Page, reports: dict[int, Path], count: int
) -> None:
    browser.open(reports[count])
    browser.run("""document.querySelectorAll('figure svg').forEach((svg) => {
        svg.viewBox.baseVal.x += 0.04 * svg.viewBox.baseVal.width;
    })""")
    assert beyond_the_picture(browser)
    assert clipped(browser)


def test_labels_that_cover_each_other_are_found_turned_ones_too(
    browser: Page, tmp_path: Path
) -> None:
    file = tmp_path / "covered.html"
    words = [
        ("one", 50, 50, 0), ("two", 58, 50, 0), ("three", 50, 68, 0),
        ("turned beside", 120, 90, -60), ("turned likewise", 140, 90, -60), ("turned across", 110, 60, 20),
    ]  # fmt: skip
    texts = "".join(
        f'<text x="{x}" y="{y}" transform="rotate({turn} {x} {y})">{text}</text>'
        for text, x, y, turn in words
    )
    file.write_text(f'<svg width="300" height="200">{texts}</svg>', encoding="utf-8")
    browser.open(file)
    assert overlapping(browser) == [
        ["one", "two"],
        ["turned beside", "turned across"],
        ["turned likewise", "turned across"],
    ]


def test_a_word_too_long_for_its_cell_is_found(browser: Page, tmp_path: Path) -> None:
    file = tmp_path / "cell.html"
    cell = '<table style="table-layout: fixed; width: 90px"><tr><td>{}</td></tr></table>'
    file.write_text(cell.format("antidisestablishmentarianism") + cell.format("short"))
    browser.open(file)
    assert beyond_their_container(browser) == ["antidisestablishmentarianism"]


def test_a_long_name_that_its_panel_has_no_room_for_is_found(browser: Page, tmp_path: Path) -> None:
    """As titles and ticks were drawn before names were broken over lines."""
    name = "an objective with a name that goes on and on and on"
    figure, axes = new_figure(1, 3, 9.0, 3.0)
    for axis in axes:
        axis.set_title(name, loc="left")
    file = tmp_path / "long.html"
    file.write_text(f"<figure>{drawn(figure, 'long', name).svg}</figure>", encoding="utf-8")
    browser.open(file)
    assert overlapping(browser) == [[name, name]] * 2
