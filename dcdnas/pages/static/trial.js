// The page of a trial or a comparison: selecting layers with mouse and arrow keys, and the learning curves.
import { areaOf, axes, colour, drawing, make, mark, onValidation, path, scale, surface, el, valued } from "./charts.js";

const said = document.getElementById("layer");
const strips = [...document.querySelectorAll(".strip")].map((strip) => [...strip.querySelectorAll(".layer")]);
const place = (layer) => Number(layer.querySelector(".ground").getAttribute("x"));

// The layer at the same position in another network, or the one nearest to it.
const across = (layer, others) => others && others.reduce((a, b) => (Math.abs(place(b) - place(layer)) < Math.abs(place(a) - place(layer)) ? b : a));

strips.forEach((layers, row) => {
  const pick = (layer) => {
    document.querySelectorAll(".layer.on").forEach((other) => other.classList.remove("on"));
    layers.forEach((other) => other.setAttribute("tabindex", other === layer ? "0" : "-1"));
    layer.classList.add("on");
    said.textContent = layer.getAttribute("aria-label");
  };
  layers.forEach((layer, i) => {
    layer.addEventListener("click", () => { pick(layer); layer.focus(); });
    layer.addEventListener("focus", () => pick(layer));
    layer.addEventListener("keydown", (event) => {
      const way = { ArrowRight: () => layers[i + 1], ArrowLeft: () => layers[i - 1], Home: () => layers[0], End: () => layers.at(-1), ArrowDown: () => across(layer, strips[row + 1]), ArrowUp: () => across(layer, strips[row - 1]) }[event.key];
      const to = way?.();
      if (!to) return;
      event.preventDefault();
      to.focus();
    });
  });
});

const DASHES = ["", "7 4", "2 3", "9 3 2 3"];
const data = JSON.parse(document.getElementById("data")?.textContent || "null");
const box = document.getElementById("curves");
if (box && data) {
  const curves = data.curves.filter((c) => c.points.length);
  drawing(box, (width, height) => {
    const area = areaOf(width, height), svg = surface(box, width, height);
    const all = [...curves.flatMap((c) => c.points.map((p) => p[1])), ...data.band.flatMap((b) => [b[1], b[3]])];
    if (!all.length) return;
    const last = Math.max(...curves.flatMap((c) => c.points.map((p) => p[0])), ...data.band.map((b) => b[0]), 2);
    const low = Math.min(...all), high = Math.max(...all), pad = (high - low) * 0.06 || 0.01;
    const x = scale(1, last, area.left, area.right), y = scale(low - pad, high + pad, area.bottom, area.top);
    axes(svg, x, y, area, { x: "Epoch", y: onValidation(data.objective), xTick: (v) => (Number.isInteger(v) ? v : ""), yTick: (v) => mark(data.objective.size * v) });
    if (data.band.length) {
      const up = data.band.map((b) => [x(b[0]), y(b[3])]), down = data.band.map((b) => [x(b[0]), y(b[1])]).reverse();
      svg.append(make("path", { class: "band", d: path([...up, ...down]) + "Z" }));
      svg.append(make("path", { class: "median", d: path(data.band.map((b) => [x(b[0]), y(b[2])])) }));
    }
    curves.forEach((c, i) => {
      const stroke = ["--op2", "--op7", "--op3", "--op5"][i];
      svg.append(make("path", { class: "line", d: path(c.points.map((p) => [x(p[0]), y(p[1])])), stroke: colour(stroke), "stroke-dasharray": DASHES[i] }));
      for (const p of c.points.length < 40 ? c.points : []) {
        const dot = make("circle", { cx: x(p[0]), cy: y(p[1]), r: 3, fill: colour(stroke) });
        dot.append(make("title", {}, `${c.name}, epoch ${p[0]}: ${valued(data.objective, p[1])}`));
        svg.append(dot);
      }
    });
  });
  const legend = document.getElementById("curves-legend");
  const add = (text, attributes) => {
    const item = el("li"), svg = make("svg", { width: 28, height: 10, "aria-hidden": "true" });
    svg.append(make("line", { x1: 0, x2: 28, y1: 5, y2: 5, ...attributes }));
    item.append(svg, ` ${text}`);
    legend.append(item);
  };
  curves.forEach((c, i) => add(c.name, { "stroke-width": 2, stroke: `var(--op${[2, 7, 3, 5][i]})`, "stroke-dasharray": DASHES[i] }));
  add("median of all trainings", { class: "median" });
}
