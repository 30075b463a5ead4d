// Scatter plot of the trials over any two of their quantities: points on a canvas; front, budget and selection in SVG above it.
import { areaOf, axes, colour, drawing, duration, el, make, mark, marker, markerSvg, onValidation, path, scale, short, surface, unitOf, valued } from "./charts.js";

const TIMES = [[3600, " (h)"], [60, " (min)"], [1, " (s)"]], PLAIN = [[1, ""]];


const box = document.getElementById("scatter"), xBox = document.getElementById("axis-x"), yBox = document.getElementById("axis-y");
const logX = document.getElementById("log-x"), logY = document.getElementById("log-y"), unbrush = document.getElementById("unbrush"), said = document.getElementById("scatter-said");

export class Scatter {
  constructor(trials, { pick, open, select }) {
    Object.assign(this, { trials, pick, open, select, picked: null, brushed: null, points: [] });
    for (const axis of [xBox, yBox]) for (const name of trials.axes()) axis.append(el("option", { value: name }, trials.title(name)));
    xBox.value = trials.objective;
    yBox.value = trials.primary.name;
    const changed = () => { this.brush(null); this.draw(); };
    [xBox, yBox, logX, logY].forEach((input) => input.addEventListener("change", changed));
    unbrush.addEventListener("click", () => { this.brush(null); this.draw(); box.focus(); });
    this.canvas = el("canvas", { "aria-hidden": "true" });
    this.tip = el("div", { class: "tip", hidden: "" });
    box.append(this.canvas, this.tip);
    this.listen();
    this.draw = drawing(box, (width, height) => this.paint(width, height));
    this.legend();
  }

  update() { this.draw(); this.legend(); }

  legend() {
    const used = new Set(this.trials.rows.filter((r) => r && this.trials.scored(r)).map((r) => r[5]));
    const list = document.getElementById("scatter-legend");
    const signed = (sign, text) => { const item = el("li"); item.append(sign, ` ${text}`); return item; };
    const round = (attributes) => { const svg = make("svg", { width: 18, height: 18, viewBox: "-9 -9 18 18", "aria-hidden": "true" }); svg.append(make("circle", attributes)); return svg; };
    const operators = this.trials.operators.flatMap((operator, i) => (used.has(i) ? [signed(markerSvg(operator), operator.name === "static" ? "all static" : operator.name)] : []));
    list.replaceChildren(el("li", {}, "Colour and shape: the operator with the most layers besides static"), ...operators,
      signed(round({ class: "ring", r: 8 }), `on the front by ${this.trials.frontOf}`),
      ...(this.trials.asked ? [signed(round({ class: "stopped", r: 4 }), "hollow: stopped early, so evaluated after fewer epochs than the others")] : []),
      el("li", {}, "pale: over the budget"));
  }

  said(row, name) {
    const value = this.trials.get(row, name);
    const goal = this.trials.goal(name);
    if (goal) return valued(goal, value);
    if (name === "seconds") return duration(value);
    return this.trials.metrics.includes(name) ? short(value, this.trials.units[name]) : `${this.trials.title(name).toLowerCase()} ${value}`;
  }

  sentence(row) {
    return `Trial ${row[0]}: ${valued(this.trials.primary, row[2])}${this.trials.epochs(row)}, ${this.trials.metrics.map((m) => this.said(row, m)).join(", ")}, ${this.trials.state(row)}`;
  }

  paint(width, height) {
    const { trials } = this, area = areaOf(width, height), xName = xBox.value, yName = yBox.value;
    const rows = trials.rows.filter((r) => r && trials.scored(r));
    const svg = surface(box, width, height), context = this.resize(width, height);
    this.area = area;
    this.points = [];
    if (!rows.length) {
      svg.append(make("text", { class: "tick middle", x: width / 2, y: height / 2 }, "The first network that finishes appears here."));
      return;
    }
    const log = (box, name) => box.checked && rows.every((r) => trials.get(r, name) > 0);
    [this.x, this.y] = [this.scaleOf(rows, xName, area.left, area.right, log(logX, xName)), this.scaleOf(rows, yName, area.bottom, area.top, log(logY, yName))];
    axes(svg, this.x, this.y, area, { x: this.axis(xName, this.x), y: this.axis(yName, this.y), xTick: (v) => this.tick(v, xName), yTick: (v) => this.tick(v, yName) });
    this.budgetLines(svg, area, xName, yName);
    this.frontLine(svg, xName, yName);
    const colours = trials.operators.map((o) => colour(`--op${o.index}`));
    const place = (row) => ({ row, x: this.x(trials.get(row, xName)), y: this.y(trials.get(row, yName)) });
    this.points = rows.map(place);
    for (const front of [false, true])
      for (const p of this.points) {
        if (trials.onFront.has(p.row[0]) !== front) continue;
        const partial = p.row[1] !== 0;
        context.globalAlpha = front ? 1 : trials.within(p.row) ? 0.75 : 0.3;
        context.fillStyle = context.strokeStyle = colours[p.row[5]];
        context.lineWidth = 1.3;
        marker(context, trials.operator(p.row).marker, p.x, p.y, front ? 5 : partial || rows.length > 2000 ? 2.8 : 3.8, partial);
      }
    for (const p of this.points) if (trials.onFront.has(p.row[0])) svg.append(make("circle", { class: "ring", cx: p.x, cy: p.y, r: 8 }));
    const at = this.points.find((p) => p.row[0] === this.picked);
    if (at) svg.append(make("circle", { class: "picked", cx: at.x, cy: at.y, r: 11 }));
    this.frame = svg.appendChild(make("rect", { class: "brush", visibility: "hidden" }));
    if (this.brushed) this.showFrame(this.brushed);
  }

  resize(width, height) {
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    return context;
  }

  scaleOf(rows, name, from, to, log) {
    let low = Infinity, high = -Infinity;
    for (const row of rows) { const v = this.trials.get(row, name); low = Math.min(low, v); high = Math.max(high, v); }
    const budget = this.trials.budgets[name]?.[1];
    if (budget && budget < 3 * high) high = Math.max(high, budget * 1.06);
    const pad = (high - low) * 0.05 || Math.abs(high) * 0.05 || 1;
    const map = log ? scale(low / 1.06, high * 1.06, from, to, true) : scale(low >= 0 && low < pad * 4 ? 0 : low - pad, high + pad, from, to);
    [map.unit, map.said] = unitOf(name === "seconds" ? TIMES : this.trials.axisUnits[name] || PLAIN, map);
    return map;
  }

  axis(name, map) { return this.trials.goal(name) ? onValidation(this.trials.goal(name)) : `${this.trials.axisTitle(name)}${map.said}`; }

  tick(value, name) { return mark((this.trials.goal(name)?.size ?? 1) * value); }

  budgetLines(svg, area, xName, yName) {
    const across = this.trials.budgets[xName], up = this.trials.budgets[yName];
    if (across) {
      const at = Math.min(area.right, this.x(across[1]));
      svg.append(make("rect", { class: "shade", x: at, y: area.top, width: area.right - at, height: area.height }));
      if (across[0] > this.x.low) svg.append(make("rect", { class: "shade", x: area.left, y: area.top, width: Math.max(0, this.x(across[0]) - area.left), height: area.height }));
      if (at < area.right) svg.append(make("line", { class: "budget", x1: at, x2: at, y1: area.top, y2: area.bottom }), make("text", { class: "budget-said end", x: at - 5, y: area.bottom - 6 }, `budget ${short(across[1], this.trials.units[xName])}`));
    }
    if (up && up[0] > this.y.low) {
      const from = Math.max(area.top, this.y(up[0]));
      svg.append(make("rect", { class: "shade", x: area.left, y: from, width: area.width, height: area.bottom - from }));
    }
    if (up && up[1] < this.y.high) {
      const at = this.y(up[1]);
      svg.append(make("rect", { class: "shade", x: area.left, y: area.top, width: area.width, height: Math.max(0, at - area.top) }), make("line", { class: "budget", x1: area.left, x2: area.right, y1: at, y2: at }), make("text", { class: "budget-said end", x: area.right - 4, y: at + 15 }, `budget ${short(up[1], this.trials.units[yName])}`));
    }
  }

  // The step line of the best value reached at or below each cost; only when the axes are those of the front.
  frontLine(svg, xName, yName) {
    const { trials } = this;
    if (xName !== trials.objective || yName !== trials.primary.name || !trials.front.length) return;
    const points = [];
    for (const number of trials.front) {
      const row = trials.rows[number], x = this.x(trials.get(row, xName)), y = this.y(row[2]);
      if (points.length && trials.primary.sign * (y - points.at(-1)[1]) >= 0) continue;
      if (points.length) points.push([x, points.at(-1)[1]]);
      points.push([x, y]);
    }
    const end = trials.budgets[xName] ? Math.min(this.area.right, this.x(trials.budgets[xName][1])) : this.area.right;
    points.push([Math.max(end, points.at(-1)[0]), points.at(-1)[1]]);
    svg.append(make("path", { class: "front", d: path(points) }));
  }

  nearest(x, y, reach = 14) {
    let best = null, least = reach * reach;
    for (const p of this.points) {
      const d = (p.x - x) ** 2 + (p.y - y) ** 2 - (this.trials.onFront.has(p.row[0]) ? 20 : 0);
      if (d < least) [best, least] = [p, d];
    }
    return best;
  }

  choose(number) {
    this.picked = number;
    said.textContent = this.sentence(this.trials.rows[number]);
    this.draw();
    this.pick(number);
  }

  listen() {
    let start = null;
    const at = (event) => { const r = box.getBoundingClientRect(); return [event.clientX - r.left, event.clientY - r.top]; };
    box.addEventListener("pointerdown", (event) => { if (event.button === 0 && event.pointerType === "mouse") { start = at(event); box.setPointerCapture(event.pointerId); } });
    box.addEventListener("pointermove", (event) => {
      const [x, y] = at(event);
      if (start && Math.hypot(x - start[0], y - start[1]) > 6) this.showFrame(this.frameOf(start, [x, y]));
      this.hover(start ? null : this.nearest(x, y), x, y);
    });
    box.addEventListener("pointerleave", () => this.hover(null));
    box.addEventListener("pointerup", (event) => {
      const end = at(event), moved = start && Math.hypot(end[0] - start[0], end[1] - start[1]) > 6;
      if (moved) this.brush(this.frameOf(start, end));
      else { const p = this.nearest(...end); if (p) this.choose(p.row[0]); }
      start = null;
    });
    box.addEventListener("dblclick", (event) => { const p = this.nearest(...at(event)); if (p) this.open(p.row[0]); });
    box.addEventListener("keydown", (event) => {
      const { front } = this.trials, i = front.indexOf(this.picked);
      const to = { ArrowRight: i + 1, ArrowLeft: i < 0 ? front.length - 1 : i - 1, Home: 0, End: front.length - 1 }[event.key];
      if (event.key === "Enter" && this.picked !== null) this.open(this.picked);
      else if (event.key === "Escape" && this.brushed) { this.brush(null); this.draw(); }
      else if (to !== undefined && front[to] !== undefined) { event.preventDefault(); this.choose(front[to]); }
    });
  }

  hover(point, x, y) {
    this.tip.hidden = !point;
    box.style.cursor = point ? "pointer" : "crosshair";
    if (!point) return;
    this.tip.textContent = this.sentence(point.row);
    this.tip.style.left = `${Math.max(0, Math.min(x + 12, box.clientWidth - this.tip.offsetWidth - 4))}px`;
    this.tip.style.top = `${Math.max(0, y - 34)}px`;
  }

  frameOf([x1, y1], [x2, y2]) { return { left: Math.min(x1, x2), right: Math.max(x1, x2), top: Math.min(y1, y2), bottom: Math.max(y1, y2) }; }

  showFrame(f) {
    for (const [key, value] of Object.entries({ x: f.left, y: f.top, width: f.right - f.left, height: f.bottom - f.top, visibility: "visible" })) this.frame?.setAttribute(key, value);
  }

  // Filters the table to the points in the frame; without a frame clears the filter.
  brush(frame) {
    this.brushed = frame;
    unbrush.hidden = !frame;
    if (!frame) { this.frame?.setAttribute("visibility", "hidden"); this.select(null); return; }
    const inside = this.points.filter((p) => p.x >= frame.left && p.x <= frame.right && p.y >= frame.top && p.y <= frame.bottom);
    this.select(new Set(inside.map((p) => p.row[0])));
  }
}
