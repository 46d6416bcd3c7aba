"use strict";
// A panel per pair of objectives: policies with intervals, what is chosen, what was asked and not trained.

function pairsOf(names) {
  const pairs = [];
  for (let first = 0; first < names.length; first += 1) {
    for (let second = first + 1; second < names.length; second += 1) pairs.push([names[second], names[first]]);
  }
  return pairs;
}

function pairId(x, y) {
  return `pair-${x}-${y}`;
}

function describePoint(data, point) {
  const lines = data.objectives.map((name) =>
    `${name} <b>${number(point.value[name])}</b>` +
    (point.low[name] == null ? "" : ` [${number(point.low[name])}, ${number(point.high[name])}]`) +
    (point.threshold[name] == null ? "" : ` asked ${number(point.threshold[name])}`));
  return [`<b>${titleOf(data, point.method)}</b>`, wrapped(point.point), ...lines,
    `KL ${number(point.kl)} nats`, point.certified].filter((line) => line).join("<br>");
}

function wrapped(text) {
  return escapeMarkup(text).replaceAll(",", ",<br>");
}

function escapeMarkup(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

function titleOf(data, name) {
  return data.methods.find((method) => method.name === name)?.title ?? name;
}

function rangeOver(data, name) {
  const seen = data.points.flatMap((point) => [point.value[name], point.low[name], point.high[name], point.threshold[name]])
    .filter((value) => value != null);
  if (!seen.length) return [0, 1];
  const low = Math.min(...seen), high = Math.max(...seen), room = Math.max(0.06 * (high - low), 0.01);
  return [low - room, high + room];
}

function methodTrace(data, method, places, x, y, isDim) {
  const points = places.map((place) => data.points[place]);
  const error = (name) => ({
    type: "data", symmetric: false, thickness: 1, width: 0, color: method.colour + "99",
    array: points.map((point) => (point.high[name] ?? point.value[name]) - point.value[name]),
    arrayminus: points.map((point) => point.value[name] - (point.low[name] ?? point.value[name])),
  });
  return {
    type: "scatter", mode: "markers", name: method.title, customdata: places,
    x: points.map((point) => point.value[x]), y: points.map((point) => point.value[y]),
    error_x: error(x), error_y: error(y),
    marker: {
      color: method.colour, size: 10, line: { width: 1.5, color: method.colour },
      symbol: points.map((point) => method.symbol + (point.best ? "" : "-open")),
      opacity: places.map((place) => (isDim(place) ? 0.15 : 1)),
    },
    hovertemplate: points.map((point) => describePoint(data, point) + "<extra></extra>"),
  };
}

// Points without a policy stand where their thresholds are; on the axis where a pair has a threshold for one only.
function untrainedTrace(data, places, x, y, ranges) {
  const at = (point, name) => point.threshold[name] ?? ranges[name][0];
  const points = places.map((place) => data.points[place]);
  return {
    type: "scatter", mode: "markers", customdata: places, cliponaxis: false,
    x: points.map((point) => at(point, x)), y: points.map((point) => at(point, y)),
    marker: { symbol: "x-thin", size: 9, line: { width: 2, color: themeColour("soft") } },
    hovertemplate: points.map((point) => `<b>${point.status}</b><br>${wrapped(point.point)}<br>${wrapped(point.reason)}<extra></extra>`),
  };
}

function ringTrace(data, place, x, y, colour) {
  const point = place == null ? null : data.points[place];
  const shown = point != null && point.value[x] != null && point.value[y] != null;
  return {
    type: "scatter", mode: "markers", hoverinfo: "skip",
    x: shown ? [point.value[x]] : [], y: shown ? [point.value[y]] : [],
    marker: { symbol: "circle-open", size: 22, color: colour, line: { width: 2.5, color: colour } },
  };
}

function askedLines(data, place, x, y) {
  if (place == null) return [];
  const threshold = data.points[place].threshold;
  const line = { type: "line", layer: "below", line: { color: themeColour("threshold"), width: 1.5, dash: "dash" } };
  return [
    threshold[x] == null ? null : { ...line, x0: threshold[x], x1: threshold[x], yref: "paper", y0: 0, y1: 1 },
    threshold[y] == null ? null : { ...line, y0: threshold[y], y1: threshold[y], xref: "paper", x0: 0, x1: 1 },
  ].filter((shape) => shape);
}

function drawPairs(data, state, on) {
  const ranges = Object.fromEntries(data.objectives.map((name) => [name, rangeOver(data, name)]));
  const places = data.points.map((_, place) => place).filter((place) => state.methods.has(data.points[place].method));
  const pairs = pairsOf(data.objectives), panels = document.getElementById("panels"), fresh = !panels.childElementCount;
  if (fresh) panels.append(...pairs.map(([x, y]) => element("div", { id: pairId(x, y), class: "plot", role: "img", "aria-label": `${y} against ${x}` })));
  for (const [x, y] of pairs) {
    const plot = document.getElementById(pairId(x, y));
    const trained = places.filter((place) => data.points[place].value[x] != null && data.points[place].value[y] != null);
    const untrained = places.filter((place) => data.points[place].status !== "done")
      .filter((place) => data.objectives.some((name) => data.points[place].threshold[name] != null));
    const traces = data.methods.filter((method) => state.methods.has(method.name)).map((method) =>
      methodTrace(data, method, trained.filter((place) => data.points[place].method === method.name), x, y, on.isDim));
    traces.push(untrainedTrace(data, untrained, x, y, ranges), ringTrace(data, state.hovered, x, y, themeColour("soft")),
      ringTrace(data, state.chosen, x, y, themeColour("ink")));
    Plotly.react(plot, traces, plotLayout({
      xaxis: { title: { text: x, standoff: 6 }, range: ranges[x] }, yaxis: { title: { text: y, standoff: 6 }, range: ranges[y] },
      shapes: askedLines(data, state.chosen, x, y),
    }), PLOT);
    if (fresh) {
      plot.on("plotly_click", (event) => on.choose(event.points[0].customdata));
      plot.on("plotly_hover", (event) => on.hover(event.points[0].customdata, plot));
      plot.on("plotly_unhover", () => on.hover(null, plot));
    }
  }
}
