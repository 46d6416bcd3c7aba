"use strict";
// What both pages share: elements, numbers, colours of the theme, commands to copy.

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child != null && child !== ""));
  return made;
}

// Whoever works by keyboard stays where they were: on the same button or table, the next one, or the place itself.
function replaceContent(id, ...children) {
  const place = document.getElementById(id), stops = () => [...place.querySelectorAll("button, input, .scroll")];
  const held = document.activeElement, at = stops().indexOf(held);
  place.replaceChildren(...children.flat().filter((child) => child != null));
  if (at < 0) return;
  const made = stops(), same = made.find((stop) => held.dataset.place != null && stop.dataset.place === held.dataset.place);
  if (!made.length) place.tabIndex = -1;
  (same ?? made[Math.min(at, made.length - 1)] ?? place).focus({ preventScroll: true });
}

function number(value, digits = 3) {
  if (value == null || !Number.isFinite(value)) return "–";
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text;
}

function signed(value, digits = 4) {
  if (value == null || !Number.isFinite(value)) return "–";
  const text = Math.abs(value).toFixed(digits);
  return (Number(text) === 0 ? "±" : value < 0 ? "−" : "+") + text;
}

function tableOf(head, rows) {
  return element("div", { class: "scroll", tabindex: 0 }, element("table", {},
    element("tr", {}, head.map(([text, kind]) => element("th", { class: kind }, text))),
    rows.map((row) => element("tr", {}, row.map((cell, place) =>
      element("td", { class: head[place][1] }, ...[cell].flat()))))));
}

function command(text) {
  const button = element("button", { type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const range = document.createRange();
      range.selectNodeContents(code);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  const code = element("code", {}, text);
  return element("div", { class: "command" }, code, button);
}

function themeColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// A layout of Plotly in the page's own colours; axes that neither zoom nor trap a finger.
function plotLayout(changes) {
  const axis = {
    gridcolor: themeColour("line"), zerolinecolor: themeColour("line"), linecolor: themeColour("line"),
    tickfont: { color: themeColour("soft"), size: 11 }, fixedrange: true, zeroline: false, automargin: true,
  };
  const { xaxis, yaxis, ...rest } = changes;
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, dragmode: false,
    hovermode: "closest", font: { family: "system-ui, sans-serif", color: themeColour("ink"), size: 12 },
    hoverlabel: { bgcolor: themeColour("card"), bordercolor: themeColour("line"), font: { color: themeColour("ink") }, align: "left" },
    margin: { l: 48, r: 12, t: 8, b: 40 }, ...rest,
    xaxis: { ...axis, ...xaxis }, yaxis: { ...axis, ...yaxis },
  };
}

const PLOT = { displayModeBar: false, responsive: true };

function onThemeChange(draw) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}

function embeddedData() {
  return JSON.parse(document.getElementById("data").textContent);
}
