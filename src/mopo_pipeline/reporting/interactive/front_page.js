"use strict";
// The page of a front: what is shown, chosen and brushed, and everything told of the chosen policy.

const data = embeddedData();
const axes = parallelAxes(data);
const state = { methods: new Set(data.methods.map((method) => method.name)), chosen: null, hovered: null, brushes: {} };
const on = {
  isDim: (place) => !isInside(axes, state.brushes, data.points[place]),
  choose(place) {
    state.chosen = place;
    draw();
    showDetail();
    if (!matchMedia("(max-width: 65.99rem)").matches) return;
    const detail = document.getElementById("detail");
    detail.focus({ preventScroll: true });
    detail.scrollIntoView({ behavior: "smooth", block: "start" });
  },
  // The panel under the pointer is left alone: drawn again between press and release, it would lose the click.
  hover(place, source) {
    state.hovered = place;
    for (const [x, y] of pairsOf(data.objectives)) {
      const plot = document.getElementById(pairId(x, y));
      if (plot === source) continue;
      const ring = ringTrace(data, place, x, y, themeColour("soft"));
      Plotly.restyle(plot, { x: [ring.x], y: [ring.y] }, [plot.data.length - 2]);
    }
  },
  brush(place, range) {
    const { [place]: _, ...rest } = state.brushes;
    state.brushes = range == null ? rest : { ...rest, [place]: range };
    draw();
  },
};

function draw() {
  drawPairs(data, state, on);
  drawParallel(data, state, on);
  showTable();
}

function spaced(text) {
  return text.replaceAll(",", ", ");
}

function swatch(method) {
  const shapes = {
    circle: "M7 2a5 5 0 1 0 .01 0z", diamond: "M7 1l6 6-6 6-6-6z", square: "M2 2h10v10H2z", "triangle-up": "M7 1l6 11H1z",
    cross: "M5 1h4v4h4v4H9v4H5V9H1V5h4z", star: "M7 1l1.8 4.2 4.5.3-3.5 2.9 1.2 4.4L7 10.4l-4 2.4 1.2-4.4L.7 5.5l4.5-.3z",
    "triangle-down": "M1 2h12L7 13z", hexagon: "M4 2h6l3 5-3 5H4L1 7z", pentagon: "M7 1l6 4.6-2.3 7.4H3.3L1 5.6z",
    hourglass: "M2 2h10L2 12h10z", "triangle-left": "M12 1v12L1 7z", bowtie: "M2 2v10L12 2v10z", "triangle-right": "M2 1v12l11-6z",
  };
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 14 14");
  svg.setAttribute("class", "swatch");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", shapes[method.symbol]);
  path.setAttribute("fill", method.colour);
  svg.append(path);
  return svg;
}

function showMethods() {
  const field = document.getElementById("methods");
  for (const method of data.methods) {
    const box = element("input", { type: "checkbox", value: method.name, checked: true });
    box.addEventListener("change", () => {
      if (box.checked) state.methods.add(method.name); else state.methods.delete(method.name);
      draw();
    });
    field.append(element("label", {}, box, swatch(method), method.title, element("span", { class: "soft small" }, method.kind)));
  }
}

function verdictClass(point, name) {
  if (point.threshold[name] == null || point.value[name] == null) return "";
  if (point.value[name] < point.threshold[name]) return "missed";
  return point.low[name] != null && point.low[name] < point.threshold[name] ? "noise" : "held";
}

function valuesTable(point) {
  const head = [["objective", ""], ["asked", "n"], ["planned", "n"], ["attained", "n"]];
  const rows = data.objectives.map((name) => [
    name, number(point.threshold[name]), number(point.planned[name]),
    [element("span", { class: verdictClass(point, name) }, number(point.value[name])),
      point.low[name] == null ? "" : element("div", { class: "soft small" }, `${number(point.low[name])}–${number(point.high[name])}`)]]);
  const level = data.level == null ? "intervals" : `${Math.round(100 * data.level)}% intervals`;
  return [tableOf(head, rows), element("p", { class: "soft small" }, `Below what was attained: ${level}, over prompts.`)];
}

function pricesList(point) {
  const primary = data.objectives[0];
  const priced = data.objectives.slice(1).filter((name) => point.price[name] != null);
  if (!priced.length) return null;
  return [element("h3", {}, "What +.01 of a threshold costs"),
    element("ul", { class: "figures" }, priced.map((name) => element("li", {}, element("b", {}, signed(0.01 * point.price[name])),
      `of ${primary} for ${name}`, point.multiplier[name] == null ? null : element("span", { class: "soft" }, ` (λ ${number(point.multiplier[name])})`)))),
    element("p", { class: "soft small" }, "At the plan, and of the primary less its price in KL.")];
}

function factsTable(point) {
  const count = (value) => (value == null ? null : Math.round(value).toLocaleString("en"));
  const facts = [
    ["certificate", point.certified && element("span", { class: point.certified === "certified" ? "held" : "noise" }, point.certified)],
    ["KL to the reference", point.kl == null ? null : `${number(point.kl)}${point.kl_low == null ? "" : ` (${number(point.kl_low)}–${number(point.kl_high)})`} nats per answer`],
    ["well formed", point.well_formed == null ? null : `${(100 * point.well_formed).toFixed(1)}%`],
    ["sequences trained on", count(point.costs.sequences)], ["tokens generated", count(point.costs.generated_tokens)],
    ["calls of a judge", count(point.costs.judge_calls)], ["seconds", count(point.costs.seconds)],
    ...Object.entries(point.hyperparameters).map(([name, value]) => [name.replaceAll("_", " "), typeof value === "object" ? JSON.stringify(value) : String(value)]),
  ].filter(([, value]) => value);
  return tableOf([["fact", ""], ["value", ""]], facts.map(([name, value]) => [name, value]));
}

function answersOf(point) {
  if (!point.samples.length) return [element("p", { class: "soft" }, "No answers were kept of this policy.")];
  return point.samples.map((sample) => element("div", {}, element("p", { class: "prompt" }, sample.prompt),
    element("div", { class: "answers" },
      element("div", { class: "answer up" }, element("b", {}, "this policy"), sample.response || "(empty)",
        element("b", {}, "scores: ", data.objectives.filter((name) => sample.scores[name] != null).map((name) => `${name} ${number(sample.scores[name], 2)}`).join(" · "))),
      element("div", { class: "answer" }, element("b", {}, "reference"), sample.reference || "(empty)"))));
}

function exportOf(point) {
  if (point.command == null) return [element("p", { class: "soft" }, "This policy has no run of its own to export from.")];
  return [command(point.command), point.certified === "certified" ? null
    : element("p", { class: "soft small" }, "Not certified: refused until export: {uncertified: true} stands among the params of that run.yml; the card of the policy will say so.")];
}

function showDetail() {
  const point = data.points[state.chosen];
  replaceContent("detail", element("h2", {}, `${titleOf(data, point.method)}: ${spaced(point.point)}`),
    element("p", { class: "soft small" }, `seed ${point.seed}, ${point.kind.replaceAll("_", " ")}`),
    point.status === "done" ? null : element("p", { class: "warn" }, `${point.status}: ${point.reason}`),
    valuesTable(point), pricesList(point), factsTable(point),
    element("h3", {}, "Export this point"), exportOf(point),
    element("h3", {}, "Answers beside the reference's"), answersOf(point));
}

function opening(place) {
  return element("button", { type: "button", class: "plain", "data-place": place, onclick: () => on.choose(place) }, spaced(data.points[place].point));
}

function showTable() {
  const seeds = new Set(data.points.map((point) => point.seed)).size > 1;
  const head = [["policy", ""], ["method", ""], ...(seeds ? [["seed", "n"]] : []), ...data.objectives.map((name) => [name, "n"]), ["KL", "n"], ["certificate", ""]];
  const places = data.points.map((_, place) => place)
    .filter((place) => data.points[place].status === "done" && state.methods.has(data.points[place].method) && !on.isDim(place));
  const made = tableOf(head, places.map((place) => {
    const point = data.points[place];
    return [opening(place), titleOf(data, point.method), ...(seeds ? [String(point.seed)] : []),
      ...data.objectives.map((name) => element("span", { class: verdictClass(point, name) }, number(point.value[name]))),
      number(point.kl), point.certified];
  }));
  made.querySelectorAll("tr").forEach((row, at) => { if (places[at - 1] === state.chosen && at > 0) row.className = "chosen"; });
  replaceContent("table", made);
}

const MEANING = {
  hypervolume: "Hypervolume: what a method's policies dominate together, with its interval over prompts and seeds.",
  "ours above, probability": "Ours above: how often, over prompts and seeds drawn again, the thresholds' front has the greater one.",
  "of the exact front": "Of the exact front: its share of the best there can be.",
  "IGD+": "IGD+: mean distance to the best front, 0 is on it.",
  "thresholds missed": "Thresholds missed, certified: of policies that were asked for thresholds.",
};

function showCompared() {
  if (!data.compared.length) return;
  const share = (value) => (value == null ? "–" : `${(100 * value).toFixed(0)}%`);
  const columns = [
    ["method", "", (row) => titleOf(data, row.name)], ["policies", "n", (row) => number(row.points, 0)],
    ["hypervolume", "n", (row) => [number(row.hypervolume, 4), row.hypervolume_low == null ? ""
      : element("div", { class: "soft small" }, `${number(row.hypervolume_low, 4)}–${number(row.hypervolume_high, 4)}`)]],
    ["ours above, probability", "n", (row) => number(row.ours_above, 2), "ours_above"],
    ["of the exact front", "n", (row) => share(row.share_of_exact), "share_of_exact"], ["IGD+", "n", (row) => number(row.igd_plus, 4), "igd_plus"],
    ["thresholds missed", "n", (row) => share(row.violation_rate), "violation_rate"], ["certified", "n", (row) => share(row.certified_share), "certified_share"],
  ].filter(([, , , known]) => known == null || data.compared.some((row) => row[known] != null));
  replaceContent("compared", element("h2", {}, "Methods compared"),
    tableOf(columns.map(([title, kind]) => [title, kind]), data.compared.map((row) => columns.map(([, , cell]) => cell(row)))),
  element("p", { class: "soft small" }, columns.map(([title]) => MEANING[title]).filter(Boolean).join(" ")));
}

function showUntrained() {
  const left = data.points.map((_, place) => place).filter((place) => data.points[place].status !== "done");
  if (!left.length) return;
  replaceContent("untrained", element("h2", {}, "Points without a policy"), tableOf(
    [["point", ""], ["method", ""], ["seed", "n"], ["status", ""], ["why", ""]],
    left.map((place) => {
      const point = data.points[place];
      return [opening(place), titleOf(data, point.method), String(point.seed), point.status, point.reason];
    })));
}

showMethods();
showRanges(axes, on);
showUntrained();
showCompared();
draw();
onThemeChange(draw);
