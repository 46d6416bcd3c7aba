"""The plan explorer in a browser: it solves what the plan solves, and follows its sliders."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chromium import Page, chromium
from explored import NAMES, Tables, opened, tables
from mopo_pipeline.mopo import solve_dual
from mopo_pipeline.mopo.rows import alike

pytestmark = pytest.mark.browser

SOLVED = "({ ...state.plan, target: Array.from(state.plan.target), whole: state.solved.whole, nearest: state.solved.nearest })"
SLIDER = "document.querySelector('#sliders input[data-place=\"{}\"]')"


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with chromium() as page:
        yield page


@pytest.fixture
def page(browser: Page) -> Iterator[Page]:
    browser.errors.clear()
    browser.requests.clear()
    yield browser
    assert browser.errors == []
    assert {url.split(":")[0] for url in browser.requests} <= {"file", "data"}


@pytest.fixture(scope="module")
def given() -> Tables:
    return tables([6] * 60)


def place_on_slider(page: Page, place: int, threshold: float) -> tuple[float, float]:
    """Where on the screen a slider's thumb, 16 pixels wide, stands for a threshold."""
    left, top, width, height, share = page.run(
        f"(() => {{ const input = {SLIDER.format(place)}, box = input.getBoundingClientRect();"
        f"return [box.x, box.y, box.width, box.height, ({threshold} - input.min) / (input.max - input.min)]; }})()"
    )
    return left + 8 + share * (width - 16), top + height / 2


def test_without_labels_the_browser_solves_the_convex_dual(page: Page, tmp_path: Path) -> None:
    given = tables([5, 9, 1, 2, 17] * 8, labelled=False)
    opened(page, tmp_path, given.page([0.56, 0.57], normalisation="per_prompt"))
    found = page.run(SOLVED)
    rows = given.win_rates
    groups = rows["prompt_id"].str[1:].astype(int).to_numpy()
    exact = solve_dual(
        rows[list(NAMES)].to_numpy(),
        [0.56, 0.57],
        tau=0.1,
        reference=alike(groups),
        groups=groups,
    )
    assert (exact.multipliers > 0.1).all()
    np.testing.assert_allclose(found["multipliers"], exact.multipliers, atol=1e-6)
    np.testing.assert_allclose(found["values"], exact.values, atol=1e-6)
    np.testing.assert_allclose(found["target"], exact.ratio, atol=2e-6)
    assert found["kl"] == pytest.approx(exact.kl, abs=1e-6)
    assert found["ess"] == pytest.approx(exact.ess, abs=1e-6)


WORLDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "labels hold it at a confidence": ({"counts": [6] * 60}, {}),
    "in one pool": ({"counts": [6] * 60}, {"normalisation": "pooled"}),
    "a strength of shrinkage": ({"counts": [6] * 60}, {"kappa": 3.0}),
    "win rates of folds": ({"counts": [6] * 60, "folds": 3}, {}),
    "prompts of any size": ({"counts": [1, 2, 3, 4, 8, 20] * 12}, {}),
    "prompts drawn in groups": ({"counts": [6] * 60, "together": 4}, {}),
    "annotators differ in taste": ({"counts": [6] * 60, "annotators": 5}, {"confidence": 0.8}),
    "a fixed radius": ({"counts": [6] * 60}, {"epsilon": 5e-4}),
    "rows are all there is": ({"counts": [6] * 60}, {"normalisation": "per_prompt"}),
    "estimates alone": ({"counts": [6] * 60, "labelled": False}, {}),
    "margins above the thresholds": ({"counts": [6] * 60}, {"margins": {"harm": 0.02}}),
    "one threshold": ({"counts": [6] * 60, "objectives": 2}, {}),
}  # fmt: skip


@pytest.mark.parametrize(("made", "params"), WORLDS.values(), ids=WORLDS)
def test_the_browser_finds_the_plan(
    page: Page, tmp_path: Path, made: dict[str, Any], params: dict[str, Any]
) -> None:
    given, asked = tables(**made), [0.47, 0.48][: made.get("objectives", 3) - 1]
    opened(page, tmp_path, given.page(asked, **params))
    found = page.run(SOLVED)
    plan, _ = given.plan(asked, **params)
    assert found["whole"]
    assert min(plan.of_constrained(plan.multipliers)) > 0.01
    np.testing.assert_allclose(
        found["multipliers"], plan.of_constrained(plan.multipliers), atol=1e-5
    )
    np.testing.assert_allclose(found["values"], list(plan.values.values()), atol=1e-6)
    np.testing.assert_allclose(found["bounds"], plan.of_constrained(plan.bounds), atol=1e-6)
    assert found["kl"] == pytest.approx(plan.kl, abs=1e-5)
    assert found["ess"] == pytest.approx(plan.ess, abs=1e-5)


def test_a_slider_let_go_gives_the_plan_of_its_threshold_its_price_and_its_command(
    page: Page, given: Tables, tmp_path: Path
) -> None:
    command = "kedro run --env=mine --params=data_root=x,plan.thresholds.harm=0.45"
    opened(page, tmp_path, given.page([0.45, 0.47], command=command))
    before = page.run("document.getElementById('plan').innerText")
    page.run(f"{SLIDER.format(0)}.scrollIntoView({{ block: 'center' }})")
    page.drag(place_on_slider(page, 0, 0.45), place_on_slider(page, 0, 0.49))
    page.wait("state.asked[0] > 0.47 && !state.busy")
    asked = page.run("state.asked")
    assert asked[0] == pytest.approx(0.49, abs=0.005) and asked[1] == 0.47
    plan, _ = given.plan(asked)
    dearer, _ = given.plan([asked[0] + 0.01, asked[1]])
    found = page.run(SOLVED)
    np.testing.assert_allclose(found["values"], list(plan.values.values()), atol=1e-6)
    values = [float(p.values["help"] or 0.0) for p in (plan, dearer)]
    assert page.run("state.prices")[0] == pytest.approx(values[1] - values[0], abs=2e-6)
    after = page.run("document.getElementById('plan').innerText")
    assert after != before
    assert f"{plan.values['help']:.3f}" in after
    again = f"data_root=x,plan.thresholds.harm={asked[0]:.3f},plan.thresholds.short=0.470"
    assert f"kedro run --env=mine --pipelines=plan --params={again}" in after


def test_a_curve_of_costs_holds_plans_and_falls_where_its_threshold_binds(
    page: Page, given: Tables, tmp_path: Path
) -> None:
    opened(page, tmp_path, given.page([0.47, 0.48]))
    curve = np.array(page.run("state.curves[0]"))
    free = page.run("free[0]")
    assert len(curve) > 5 and (np.diff(curve[:, 0]) > 0).all()
    binding = curve[curve[:, 0] > free]
    assert (np.diff(binding[:, 1]) < 0).all()
    plan, _ = given.plan([float(binding[-2, 0]), 0.48])
    assert binding[-2, 1] == pytest.approx(plan.values["help"], abs=1e-6)


def test_out_of_reach_says_so_shows_what_can_be_held_and_takes_it(
    page: Page, given: Tables, tmp_path: Path
) -> None:
    opened(page, tmp_path, given.page([0.74, 0.74]))
    assert "Out of reach together" in page.run("document.getElementById('reach').innerText")
    assert "kedro run" not in page.run("document.getElementById('plan').innerText")
    assert page.tabbed()[:3] == ["input 0", "input 1", "button"]
    page.run("document.querySelector('#reach button').focus()")
    page.press("Enter")
    page.wait("state.solved.whole && !state.busy")
    assert page.run("document.activeElement.dataset.place") == "0"
    before = page.run("state.asked[0]")
    page.press("ArrowRight")
    page.wait(f"state.asked[0] > {before} && !state.busy")
    page.run(f"setThresholds([{before}, state.asked[1]])")
    page.wait("!state.busy")
    asked = page.run("state.asked")
    assert min(asked) > 0.45
    plan, _ = given.plan(asked)
    np.testing.assert_allclose(page.run("state.plan.values"), list(plan.values.values()), atol=1e-6)


def test_answers_shown_are_the_most_raised_and_the_most_lowered_of_their_prompts(
    page: Page, given: Tables, tmp_path: Path
) -> None:
    opened(page, tmp_path, given.page([0.5, 0.5], normalisation="per_prompt"))
    _, weights = given.plan([0.5, 0.5], normalisation="per_prompt")
    shown = page.run("data.answers.flatMap((a) => a.rows)")
    ratio = weights["ratio"].to_numpy()
    best = max(shown, key=lambda row: ratio[row])
    least = min(shown, key=lambda row: ratio[row])
    for place, row in (("raised", best), ("lowered", least)):
        first = page.run(f"document.querySelector('#{place} .answer').innerText")
        assert f"Answer r{row} & <so on>." in first
        assert f"help {given.win_rates['help'][row]:.2f}" in first
    assert page.run("document.querySelectorAll('#raised .answer').length") == 4
    assert f"×{ratio[best]:.2f}" in page.run("document.querySelector('#raised .answer').innerText")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_reaches_beyond_the_screen_and_the_theme_is_followed(
    page: Page, given: Tables, tmp_path: Path, width: int, dark: bool
) -> None:
    opened(page, tmp_path, given.page([0.47, 0.48]), width=width, dark=dark)
    assert page.run("document.documentElement.scrollWidth") == width
    paper = sum(
        page.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    )
    assert (paper < 3 * 128) is dark
    assert page.axe() == []
