"""The report in a browser: at both widths, in both themes, on paper, and read by axe-core."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chromium import Page, chromium
from report_artifacts import figures_of, whole_page

pytestmark = pytest.mark.browser

FINDING = {
    "name": "a finding", "value": 0.1, "limit": 0.05, "severity": "warning", "remedy": "plan.margins.harm=0.009 " * 6,
}  # fmt: skip

CUT = """(() => [...document.querySelectorAll('figure svg')].filter((svg) => svg.getClientRects().length).flatMap((svg) => {
    const frame = svg.getBoundingClientRect();
    return [...svg.querySelectorAll('text')].filter((text) => {
        const box = text.getBoundingClientRect();
        return box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
    }).map((text) => text.textContent);
}))()"""
"""Words of pictures that reach beyond their edge."""

SMALL = """(() => [...document.querySelectorAll('figure svg text')].filter((text) => {
    if (!text.getClientRects().length) return false;
    const shown = text.getScreenCTM();
    return parseFloat(getComputedStyle(text).fontSize) * Math.hypot(shown.a, shown.b) * 0.75 < 9;
}).map((text) => text.textContent))()"""
"""Words of pictures that are shown under 9 points."""

WIDE = """(() => [...document.querySelectorAll('table, svg')].filter(
    (shown) => shown.getBoundingClientRect().right > document.documentElement.clientWidth + 1
).map((shown) => shown.textContent.trim().slice(0, 60)))()"""
"""Tables and pictures that reach beyond the sheet."""

BROKEN = """(() => [...document.querySelectorAll('th, td')].flatMap((cell) => [...cell.childNodes]).filter((part) => {
    if (part.nodeType !== Node.TEXT_NODE || /[\\s–-]/.test(part.textContent.trim())) return false;
    const words = document.createRange();
    words.selectNodeContents(part);
    return new Set([...words.getClientRects()].map((box) => Math.round(box.top))).size > 1;
}).map((part) => part.textContent))()"""
"""Single words and numbers of tables that are broken over lines."""

PAPER = 703
"""CSS pixels between the margins of an A4 sheet."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with chromium() as page:
        yield page


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    figures = figures_of(["helpfulness", "harmlessness", "conciseness"], moving=True)
    path.write_text(whole_page(figures=figures, findings=(FINDING,)), encoding="utf-8")
    return path


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_scrolls_sideways_and_axe_finds_nothing(
    browser: Page, file: Path, width: int, dark: bool
) -> None:
    browser.errors.clear()
    browser.open(file, width=width, dark=dark)
    assert browser.run("document.documentElement.scrollWidth") == width
    browser.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert browser.run("document.documentElement.scrollWidth") == width
    assert browser.axe() == []
    assert browser.errors == []


def test_tables_pictures_and_what_is_folded_are_reached_and_opened_by_keyboard(
    browser: Page, file: Path
) -> None:
    browser.open(file)
    stops = browser.tabbed()
    folded = browser.run("document.querySelectorAll('summary').length")
    wide = browser.run("document.querySelectorAll('.scroll, figure').length")
    shown = browser.run(
        "document.querySelectorAll('details:not([open]) :is(.scroll, figure)').length"
    )
    assert stops.count("summary") == folded > 2
    assert len(stops) == folded + wide - shown
    for key, opened in (("Enter", True), ("Space", False)):
        browser.run("document.querySelector('details:not(:has(.pair)) summary').focus()")
        browser.press(key)
        assert browser.run("document.querySelector('details:not(:has(.pair))').open") is opened


@pytest.mark.parametrize("width", [400, 1280])
def test_words_of_pictures_lie_within_them_and_can_be_read(
    browser: Page, file: Path, width: int
) -> None:
    browser.open(file, width=width)
    assert browser.run("document.querySelectorAll('figure svg text').length") > 100
    assert browser.run(CUT) == []
    assert browser.run(SMALL) == []


def test_every_picture_fits_a_telephone_as_it_is(browser: Page, file: Path) -> None:
    browser.open(file, width=400)
    widths = browser.run(
        "[...document.querySelectorAll('figure')].map((f) => [f.scrollWidth, f.clientWidth, f.querySelectorAll('svg').length])"
    )
    assert len(widths) == 7
    assert all(shown <= room and drawn == 2 for shown, room, drawn in widths)
    shown = "[...document.querySelectorAll('figure svg')].filter((s) => s.getClientRects().length).length"
    assert browser.run(shown) == 7


def test_pictures_are_drawn_in_the_colours_of_the_theme(browser: Page, file: Path) -> None:
    for dark in (False, True):
        browser.open(file, dark=dark)
        ink = browser.run("getComputedStyle(document.querySelector('figure svg text')).fill")
        assert ink == browser.run("getComputedStyle(document.body).color")
        paper = browser.run("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(22, 24, 27)" if dark else "rgb(255, 255, 255)")


def test_the_verdict_is_the_second_column_and_seen_without_scrolling_at_400_pixels(
    browser: Page, file: Path
) -> None:
    browser.open(file, width=400)
    rows = browser.run(
        "[...document.querySelectorAll('main > .scroll:first-of-type td:nth-child(2), .certificate td:nth-child(2)')]"
        ".map((cell) => [cell.innerText, cell.getBoundingClientRect().right])"
    )
    assert "held" in {text for text, _ in rows}
    assert max(right for _, right in rows) < 400


def test_what_was_achieved_and_the_bound_of_the_certificate_are_seen_without_scrolling_at_400_pixels(
    browser: Page, file: Path
) -> None:
    browser.open(file, width=400)
    ends = browser.run(
        "[...document.querySelectorAll('table.key')].map((table) => [...table.querySelectorAll('th')]"
        ".filter((head) => /^(value|lower bound|achieved|95% interval)/.test(head.innerText))"
        ".map((head) => head.getBoundingClientRect().right))"
    )
    assert [len(table) for table in ends] == [2, 2]
    assert max(end for table in ends for end in table) < 400


def test_on_paper_no_table_or_picture_is_cut_and_the_theme_is_light(
    browser: Page, file: Path
) -> None:
    browser.open(file, width=PAPER, dark=True)
    browser.print_style()
    assert browser.run(WIDE) == []
    assert browser.run(BROKEN) == []
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
