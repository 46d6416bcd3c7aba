"use strict";
// The page of a plan before training: sliders move thresholds, everything else follows.

const data = embeddedData();
const problem = unpackProblem(data.problem);
const primary = problem.names[0], constrained = problem.names.slice(1);
const free = estimate(problem, constrained.map(() => 0)).bounds;
const state = { asked: data.thresholds.slice(), solved: null, plan: null, curves: constrained.map(() => []), turn: 0, busy: false };
const EXAMPLES = 4;
const CURVE = 12;

function targetsOf(asked) {
  return asked.map((threshold, k) => threshold + data.margins[k]);
}

// While a slider moves only what lies near is solved; the rest when it is let go.
function solveNow(isFinal) {
  state.turn += 1;
  const targets = targetsOf(state.asked);
  const solved = isFinal ? solveThresholds(problem, targets) : solveNear(problem, targets, state.solved.point);
  if (solved == null) return replaceContent("reach", element("p", { class: "soft" }, "Let go to see whether these can be met together."));
  state.solved = solved;
  state.plan = planAt(problem, state.solved.point);
  state.prices = constrained.map(() => null);
  showPlan();
  showReach();
  showAnswers();
  drawCurves();
  return isFinal ? later(state.turn) : null;
}

// Prices and curves take a second: one piece at a time, dropped when a slider moves on.
async function later(turn) {
  state.busy = true;
  for (const piece of pieces()) {
    await new Promise((done) => { setTimeout(done, 0); });
    if (turn !== state.turn) return;
    piece();
  }
  state.busy = false;
}

function* pieces() {
  if (!state.solved.whole) {
    yield () => { state.curves = constrained.map(() => []); drawCurves(); };
    return;
  }
  for (let k = 0; k < constrained.length; k += 1) yield () => { state.prices[k] = priceOf(k); showPlan(); };
  for (let k = 0; k < constrained.length; k += 1) {
    const points = [[state.asked[k], state.plan.values[0]]];
    const [low, high] = data.attainable[k + 1], step = (high - low) / CURVE;
    for (const sign of [1, -1]) {
      let start = state.solved.point, open = true;
      for (let at = 1; at <= CURVE; at += 1) {
        const threshold = state.asked[k] + sign * at * step;
        if (threshold < low - 1e-9 || threshold > high + 1e-9) break;
        yield () => {
          const found = open ? solveThresholds(problem, targetsOf(moved(k, threshold)), start) : null;
          open = found != null && found.whole;
          if (!open) return;
          start = found.point;
          points.push([threshold, estimate(problem, start).values[0]]);
        };
      }
    }
    yield () => { state.curves[k] = points.sort((a, b) => a[0] - b[0]); drawCurves(); };
  }
}

function moved(k, threshold) {
  return state.asked.map((value, j) => (j === k ? threshold : value));
}

// What the planned primary loses by +.01 of a threshold; null where that is out of reach.
function priceOf(k) {
  const found = solveThresholds(problem, targetsOf(moved(k, state.asked[k] + 0.01)), state.solved.point);
  return found.whole ? estimate(problem, found.point).values[0] - state.plan.values[0] : NaN;
}

function showSliders() {
  replaceContent("sliders", constrained.map((name, k) => {
    const [low, high] = data.attainable[k + 1], output = element("output", {}, number(state.asked[k]));
    const input = element("input", { type: "range", min: low, max: high, step: 0.001, value: state.asked[k], "aria-label": `threshold of ${name}`, "data-place": k });
    input.addEventListener("input", () => {
      state.asked[k] = Number(input.value);
      output.textContent = number(state.asked[k]);
      requestSolve();
    });
    input.addEventListener("change", () => {
      cancelAnimationFrame(frame);
      frame = null;
      solveNow(true);
    });
    return element("div", { class: "slider" }, element("label", {}, name), output, input,
      element("div", { class: "ends soft small" }, element("span", {}, number(low)),
        element("span", {}, `free up to ${number(Math.max(free[k] - data.margins[k], low))}`), element("span", {}, number(high))));
  }));
  if (!constrained.length) replaceContent("sliders", element("p", { class: "warn" }, "One objective alone has no threshold to choose."));
}

// A key moves a slider and lets it go at once: what then waits for its frame must not undo the whole solution.
let frame = null;
function requestSolve() {
  frame ??= requestAnimationFrame(() => { frame = null; solveNow(false); });
}

function setThresholds(asked) {
  state.asked = asked.slice();
  showSliders();
  solveNow(true);
}

function takeNearest(nearest) {
  setThresholds(nearest);
  document.querySelector("#sliders input").focus();
}

function showReach() {
  if (state.solved.whole) return replaceContent("reach");
  const nearest = state.solved.nearest.map((target, k) => Math.floor(1000 * (target - data.margins[k])) / 1000);
  return replaceContent("reach", element("div", { class: "warn" },
    element("p", {}, "Out of reach together. The way there ends at ", constrained.map((name, k) => `${name} ${number(nearest[k])}`).join(", "), ", which is what is shown."),
    element("button", { type: "button", onclick: () => takeNearest(nearest) }, "Take these")));
}

function planTable() {
  const { plan } = state;
  const rows = problem.names.map((name, k) => [
    [name, element("div", { class: "soft small" }, `of ${number(data.attainable[k][0], 2)}–${number(data.attainable[k][1], 2)}`)],
    k ? number(state.asked[k - 1]) : "–", number(plan.values[k]), k ? number(plan.bounds[k - 1]) : "–"]);
  const head = [["objective", ""], ["asked", "n"], ["planned", "n"], [data.confidence ? "sure of" : "held", "n"]];
  return tableOf(head, rows);
}

function priceRows() {
  return constrained.map((name, k) => {
    const price = state.prices[k], lambda = state.plan.multipliers[k];
    const said = price == null ? "…" : Number.isNaN(price) ? "out of reach" : signed(price);
    return element("li", {}, element("b", {}, said), `of ${primary} for +.01 ${name} `, element("span", { class: "soft" }, `(λ ${number(lambda)})`));
  });
}

function showPlan() {
  const { plan } = state;
  const given = constrained.reduce((said, _, k) => said.replaceAll(`@${k}@`, number(Math.floor(1000 * state.asked[k] + 1e-6) / 1000)), data.command);
  replaceContent("plan",
    element("h2", {}, "What you would get"),
    element("ul", { class: "figures" },
      element("li", {}, element("b", {}, number(plan.values[0])), `planned ${primary}`),
      element("li", {}, element("b", {}, `${(100 * plan.ess).toFixed(0)}%`), "of the answers count (ESS)"),
      element("li", {}, element("b", {}, number(plan.kl, 2)), "nats from the reference")),
    planTable(),
    constrained.length ? [element("h3", {}, "What more would cost"), element("ul", { class: "figures" }, priceRows()),
      element("p", { class: "soft small" }, "Of what is planned. λ counts the price in KL besides, and so does +.01 costs in the table of a plan.")] : null,
    constrained.length && state.solved.whole ? [element("h3", {}, "Plan with these"), command(given)] : null,
    element("p", { class: "soft small" }, "Training loses some of what is planned, and the certificate asks for room above each threshold: see the report of a run."));
}

function showAnswers() {
  const all = data.answers.flatMap((entry, place) => entry.rows.map((row, at) =>
    ({ place, prompt: entry.prompt, text: entry.texts[at], row, ratio: state.plan.target[row] })));
  for (const [id, order, kind] of [["raised", (a, b) => b.ratio - a.ratio, "up"], ["lowered", (a, b) => a.ratio - b.ratio, "down"]]) {
    const seen = new Set(), kept = [];
    for (const answer of all.slice().sort(order)) {
      if (seen.has(answer.place)) continue;
      seen.add(answer.place);
      kept.push(answer);
      if (kept.length === EXAMPLES) break;
    }
    replaceContent(id, kept.map((answer) => element("div", { class: `answer ${kind}` },
      element("b", {}, `×${answer.ratio >= 0.1 ? answer.ratio.toFixed(2) : answer.ratio.toPrecision(1)} · ${answer.prompt}`), answer.text || "(empty)",
      element("b", {}, problem.names.map((name, k) => `${name} ${number(problem.base[k][answer.row], 2)}`).join(" · ")))));
  }
}

function drawCurves() {
  const panels = document.getElementById("curves");
  if (!panels.childElementCount) panels.append(...constrained.map((name) => element("div", { id: `curve-${name}`, class: "plot", role: "img", "aria-label": `planned ${primary} over the threshold of ${name}` })));
  constrained.forEach((name, k) => {
    const points = state.curves[k], [low, high] = data.attainable[k + 1];
    const end = points.length ? points.at(-1)[0] : null;
    const line = { type: "line", y0: 0, y1: 1, yref: "paper", layer: "below" };
    Plotly.react(`curve-${name}`, [
      { type: "scatter", mode: "lines+markers", x: points.map((p) => p[0]), y: points.map((p) => p[1]), line: { color: "#0072B2", width: 2, shape: "spline", smoothing: 0.6 },
        marker: { size: 5 }, hovertemplate: `${name} %{x:.3f}<br>${primary} %{y:.3f}<extra></extra>` },
      { type: "scatter", mode: "markers", x: [state.asked[k]], y: [state.plan.values[0]], hoverinfo: "skip",
        marker: { size: 13, color: "#D55E00", symbol: state.solved.whole ? "diamond" : "diamond-open", line: { width: 2, color: "#D55E00" } } },
    ], plotLayout({
      xaxis: { title: { text: `threshold of ${name}`, standoff: 6 }, range: [low - 0.01, high + 0.01] },
      yaxis: { title: { text: `planned ${primary}`, standoff: 6 }, nticks: 6 },
      shapes: [{ ...line, x0: free[k] - data.margins[k], x1: free[k] - data.margins[k], line: { color: themeColour("soft"), width: 1, dash: "dot" } },
        ...(end != null && end < high - 1e-6 ? [{ type: "rect", x0: end, x1: high + 0.01, y0: 0, y1: 1, yref: "paper", layer: "below", fillcolor: themeColour("soft"), opacity: 0.12, line: { width: 0 } }] : [])],
    }), PLOT);
  });
}

showSliders();
solveNow(true);
drawCurves();
onThemeChange(drawCurves);
