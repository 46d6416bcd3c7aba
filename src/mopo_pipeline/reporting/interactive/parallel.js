"use strict";
// Parallel coordinates: a line per policy, an axis per objective and one for the KL, brushed by dragging.

function parallelAxes(data) {
  const read = data.objectives.map((name) => ({ name, of: (point) => point.value[name] }));
  read.push({ name: "KL", of: (point) => point.kl });
  return read.map((axis) => {
    const seen = data.points.filter((point) => point.status === "done").map(axis.of).filter((value) => value != null);
    const least = Math.min(...seen), most = Math.max(...seen), room = most > least ? 0 : 0.05;
    return { ...axis, low: least - room, high: most + room, span: most - least + 2 * room };
  });
}

function isInside(axes, brushes, point) {
  return Object.entries(brushes).every(([place, [low, high]]) => {
    const value = axes[place].of(point);
    return value != null && value >= low && value <= high;
  });
}

function lineTrace(data, axes, place, isDim, isChosen) {
  const point = data.points[place];
  const method = data.methods.find((candidate) => candidate.name === point.method);
  return {
    type: "scatter", mode: "lines+markers", customdata: axes.map(() => place),
    x: axes.map((_, at) => at), y: axes.map((axis) => (axis.of(point) == null ? null : (axis.of(point) - axis.low) / axis.span)),
    opacity: isDim ? 0.12 : 1,
    line: { color: method.colour, width: isChosen ? 4 : 1.6 },
    marker: { color: method.colour, size: isChosen ? 9 : 6, symbol: method.symbol },
    hovertemplate: describePoint(data, point) + "<extra></extra>",
    selected: { marker: { opacity: 1 } }, unselected: { marker: { opacity: 1 } },
  };
}

// Names stand at two heights where a screen is too narrow for one.
function axisMarks(axes, brushes, isNarrow) {
  const line = (at) => ({ type: "line", layer: "below", x0: at, x1: at, y0: 0, y1: 1, line: { color: themeColour("soft"), width: 1 } });
  const brushed = Object.entries(brushes).map(([place, [low, high]]) => ({
    type: "rect", layer: "below", x0: Number(place) - 0.07, x1: Number(place) + 0.07,
    y0: (low - axes[place].low) / axes[place].span, y1: (high - axes[place].low) / axes[place].span,
    fillcolor: themeColour("accent"), opacity: 0.35, line: { width: 1, color: themeColour("accent") },
  }));
  const text = (at, y, shift, words, bold) => ({
    x: at, y, yshift: shift, text: bold ? `<b>${words}</b>` : words, showarrow: false,
    xanchor: at === 0 ? "left" : at === axes.length - 1 ? "right" : "center", xshift: at === 0 ? -8 : at === axes.length - 1 ? 8 : 0,
    font: { size: bold ? 12 : 11, color: themeColour(bold ? "ink" : "soft") },
  });
  return {
    shapes: [...axes.map((_, at) => line(at)), ...brushed],
    annotations: axes.flatMap((axis, at) => [
      text(at, 1, isNarrow && at % 2 ? 46 : 28, axis.name, true), text(at, 1, 11, number(axis.high), false), text(at, 0, -11, number(axis.low), false),
    ]),
  };
}

// The axis a dragged box lies nearest to, and the values between its ends.
function brushOf(axes, range) {
  const middle = (range.x[0] + range.x[1]) / 2;
  const place = Math.min(Math.max(Math.round(middle), 0), axes.length - 1);
  const ends = range.y.map((share) => axes[place].low + share * axes[place].span).sort((a, b) => a - b);
  return [place, ends];
}

function drawParallel(data, state, on) {
  const plot = document.getElementById("parallel");
  const places = data.points.map((_, place) => place)
    .filter((place) => data.points[place].status === "done" && state.methods.has(data.points[place].method))
    .sort((a, b) => (a === state.chosen) - (b === state.chosen));
  document.getElementById("parallel-section").hidden = !data.points.some((point) => point.status === "done");
  if (document.getElementById("parallel-section").hidden) return;
  const axes = parallelAxes(data), isNarrow = plot.clientWidth < 140 * axes.length;
  const traces = places.map((place) => lineTrace(data, axes, place, on.isDim(place), place === state.chosen));
  const silent = { showgrid: false, showticklabels: false, ticks: "", showline: false };
  Plotly.react(plot, traces, plotLayout({
    ...axisMarks(axes, state.brushes, isNarrow), dragmode: "select", selections: [], margin: { l: 14, r: 14, t: isNarrow ? 64 : 46, b: 26 },
    newselection: { line: { color: themeColour("accent"), width: 1, dash: "solid" } },
    xaxis: { ...silent, range: [-0.12, axes.length - 0.88] }, yaxis: { ...silent, range: [-0.03, 1.03] },
  }), PLOT);
  if (!plot.dataset.listens) {
    plot.dataset.listens = "yes";
    plot.on("plotly_click", (event) => on.choose(event.points[0].customdata));
    plot.on("plotly_hover", (event) => on.hover(event.points[0].customdata, plot));
    plot.on("plotly_unhover", () => on.hover(null, plot));
    plot.on("plotly_selected", (event) => { if (event && event.range) on.brush(...brushOf(axes, event.range)); });
  }
  showBrushes(axes, state, places.filter((place) => !on.isDim(place)).length, places.length, on);
}

// The same by keyboard: both ends of what to keep on an axis, as numbers.
function showRanges(axes, on) {
  replaceContent("ranges", element("summary", {}, "Keep a range by its ends"), axes.map((axis, place) => {
    const ends = ["from", "to"].map((end) => element("input", { type: "number", step: "any", "data-place": `${end}-${place}`, "aria-label": `${axis.name} ${end}` }));
    for (const input of ends) {
      input.addEventListener("change", () => {
        const [low, high] = ends.map((one) => (one.value === "" ? null : Number(one.value)));
        on.brush(place, low == null && high == null ? null : [low ?? axis.low, high ?? axis.high]);
      });
    }
    return element("div", { class: "chips" }, element("span", {}, axis.name), ends[0], "to", ends[1]);
  }));
}

function showBrushes(axes, state, kept, all, on) {
  axes.forEach((axis, place) => [["from", axis.low], ["to", axis.high]].forEach(([end, most], at) => {
    const input = document.querySelector(`#ranges input[data-place="${end}-${place}"]`), set = state.brushes[place]?.[at];
    if (input !== document.activeElement) input.value = set == null || set === most ? "" : number(set);
  }));
  const entries = Object.entries(state.brushes);
  replaceContent("brushes", ...entries.map(([place, [low, high]]) => element("button", { type: "button", onclick: () => on.brush(place, null) },
    `${axes[place].name} ${number(low)}–${number(high)} ✕`)),
    entries.length ? element("span", { class: "soft small" }, `${kept} of ${all} policies pass`) : null);
}
