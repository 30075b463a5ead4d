// Scales, axes and drawing helpers in SVG; thousands of points are drawn on a canvas below the SVG.

const SVG = "http://www.w3.org/2000/svg";

export function make(name, attributes = {}, text = "") {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== "") node.textContent = text;
  return node;
}

export function el(name, attributes = {}, text = "") {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== "") node.textContent = text;
  return node;
}

// Numbers are formatted as on the server: three significant digits, then the unit. Units are [size, symbol], largest first.
const PLAIN = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""]];

// Rounds to three significant digits; a value exactly halfway goes to the even digit, as in Python.
function rounded(value) {
  const [digits, power] = Math.abs(value).toExponential(25).replace(".", "").split("e");
  if (/^50*$/.test(digits.slice(3)) && Number(digits[2]) % 2 === 0) return Math.sign(value) * Number(`${digits[0]}.${digits.slice(1, 3)}e${power}`);
  return Number(value.toPrecision(3));
}

function significant(value) {
  if (Number.isInteger(value) || Math.abs(value) >= 1000) return value.toFixed(0);
  const near = rounded(value);
  if (Math.abs(near) < 1e-4) return near.toExponential(2).replace(/e([+-])(\d)$/, "e$10$2");
  return near.toFixed(Math.max(0, 2 - Number(near.toExponential().split("e")[1])));
}

export function short(value, units = PLAIN) {
  const size = rounded(value), [scale, unit] = units.find(([s]) => size >= s) || units[units.length - 1];
  return `${significant(value / scale)} ${unit}`.trim();
}

// A tick label of an axis, in the axis' unit.
export const mark = (value) => String(Number(value.toPrecision(4)));

// The unit of an axis from low to high, chosen from [size, end of the axis title] pairs, largest first.
export function unitOf(units, { low, high, log }) {
  const typical = log ? Math.sqrt(low * high) : Math.max(Math.abs(low), Math.abs(high));
  return units.find(([size]) => typical >= size) || units.at(-1);
}

// Rounds to a number of decimals; a value exactly halfway goes to the even digit, as in Python.
export function fixed(value, digits) {
  const text = value.toFixed(digits), [whole, part = ""] = Math.abs(value).toFixed(25).split(".");
  const between = /^50*$/.test(part.slice(digits)), before = Number((digits ? part[digits - 1] : whole.at(-1)));
  return between && before % 2 === 0 ? `${value < 0 ? "-" : ""}${digits ? `${whole}.${part.slice(0, digits)}` : whole}` : text;
}

// The value of an objective, formatted as on the server: a share in percent, others with four significant digits.
export function valued(goal, value, digits = 2) {
  if (value === null) return "–";
  const number = goal.unit === "%" ? fixed(goal.size * value, digits) : String(Number(value.toPrecision(4)));
  return goal.unit ? `${number} ${goal.unit}` : number;
}

// The title of an objective's axis.
export const onValidation = (goal) => `Validation ${/[A-Z]/.test(goal.axis[1] || "") ? goal.axis : goal.axis[0].toLowerCase() + goal.axis.slice(1)}`;

export const percent = (share, digits = 2) => (share === null ? "–" : `${fixed(100 * share, digits)} %`);

export function duration(seconds) {
  const s = Number(fixed(seconds, 0));
  if (s < 60) return seconds < 9.95 ? `${fixed(seconds, 1)} s` : `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export function scale(low, high, from, to, log = false) {
  const f = log ? Math.log10 : (v) => v;
  const a = f(low), b = f(high) === a ? a + 1 : f(high);
  const map = (v) => from + ((f(v) - a) / (b - a)) * (to - from);
  map.back = (p) => { const v = a + ((p - from) / (to - from)) * (b - a); return log ? 10 ** v : v; };
  map.low = low; map.high = high; map.log = log; map.unit = 1;
  return map;
}

export function ticks(low, high, count, log = false) {
  if (log) {
    const found = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
      for (const m of [1, 2, 5]) if (m * 10 ** e >= low && m * 10 ** e <= high) found.push(m * 10 ** e);
    if (found.length > 2) return found.length > 2 * count ? found.filter((v) => String(v / 10 ** Math.floor(Math.log10(v) + 1e-9))[0] === "1") : found;
  }
  const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough) || power;
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

// Calls draw with the size of the box, and again whenever its size or the colour scheme changes; returns a function that redraws.
export function drawing(box, draw) {
  const again = () => {
    const width = box.clientWidth, height = box.clientHeight;
    if (width > 40 && height > 40) draw(width, height);
  };
  new ResizeObserver(again).observe(box);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  addEventListener("beforeprint", again);
  again();
  return again;
}

export function surface(box, width, height) {
  box.querySelector("svg")?.remove();
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  box.append(svg);
  return svg;
}

export function axes(svg, x, y, area, said) {
  for (const v of ticks(x.low / x.unit, x.high / x.unit, Math.max(2, area.width / 90), x.log)) {
    const text = said.xTick(v), at = x(v * x.unit);
    if (text === "") continue;
    svg.append(make("line", { class: "grid", x1: at, x2: at, y1: area.top, y2: area.bottom }));
    svg.append(make("text", { class: "tick middle", x: at, y: area.bottom + 16 }, text));
  }
  for (const v of ticks(y.low / y.unit, y.high / y.unit, Math.max(2, area.height / 50), y.log)) {
    const at = y(v * y.unit);
    svg.append(make("line", { class: "grid", x1: area.left, x2: area.right, y1: at, y2: at }));
    svg.append(make("text", { class: "tick end", x: area.left - 6, y: at + 4 }, said.yTick(v)));
  }
  svg.append(make("text", { class: "middle", x: (area.left + area.right) / 2, y: area.bottom + 34 }, said.x));
  const middle = (area.top + area.bottom) / 2;
  svg.append(make("text", { class: "middle", transform: `translate(13 ${middle}) rotate(-90)` }, said.y));
}

export function areaOf(width, height, left = 58) {
  const area = { left, right: width - 14, top: 10, bottom: height - 42 };
  return { ...area, width: area.right - area.left, height: area.bottom - area.top };
}

export const path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

export function marker(context, shape, x, y, r, hollow = false) {
  context.beginPath();
  if (shape === "circle") context.arc(x, y, r, 0, 7);
  else if (shape === "square") context.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
  else {
    const corners = {
      diamond: [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]], up: [[0, -1.3], [1.2, 0.9], [-1.2, 0.9]], down: [[0, 1.3], [1.2, -0.9], [-1.2, -0.9]],
      plus: [[-0.4, -1.2], [0.4, -1.2], [0.4, -0.4], [1.2, -0.4], [1.2, 0.4], [0.4, 0.4], [0.4, 1.2], [-0.4, 1.2], [-0.4, 0.4], [-1.2, 0.4], [-1.2, -0.4], [-0.4, -0.4]],
      cross: [[-1.2, -0.7], [-0.7, -1.2], [0, -0.5], [0.7, -1.2], [1.2, -0.7], [0.5, 0], [1.2, 0.7], [0.7, 1.2], [0, 0.5], [-0.7, 1.2], [-1.2, 0.7], [-0.5, 0]],
      star: [[0, -1.4], [0.4, -0.4], [1.4, -0.4], [0.6, 0.3], [0.9, 1.3], [0, 0.7], [-0.9, 1.3], [-0.6, 0.3], [-1.4, -0.4], [-0.4, -0.4]],
      bar: [[-1.5, -0.5], [1.5, -0.5], [1.5, 0.5], [-1.5, 0.5]], pillar: [[-0.5, -1.5], [0.5, -1.5], [0.5, 1.5], [-0.5, 1.5]],
      left: [[-1.3, 0], [0.9, -1.2], [0.9, 1.2]], right: [[1.3, 0], [-0.9, -1.2], [-0.9, 1.2]],
      hexagon: [[-1.2, 0], [-0.6, -1.1], [0.6, -1.1], [1.2, 0], [0.6, 1.1], [-0.6, 1.1]],
      hourglass: [[-1.1, -1.2], [1.1, -1.2], [0.2, 0], [1.1, 1.2], [-1.1, 1.2], [-0.2, 0]], bow: [[-1.2, -1.1], [0, -0.2], [1.2, -1.1], [1.2, 1.1], [0, 0.2], [-1.2, 1.1]],
      house: [[0, -1.3], [1.1, -0.2], [1.1, 1.1], [-1.1, 1.1], [-1.1, -0.2]], chevron: [[-1.2, -1.1], [0, 0], [1.2, -1.1], [1.2, 0.1], [0, 1.2], [-1.2, 0.1]],
      tee: [[-1.2, -1.2], [1.2, -1.2], [1.2, -0.4], [0.4, -0.4], [0.4, 1.2], [-0.4, 1.2], [-0.4, -0.4], [-1.2, -0.4]], shield: [[0, 1.3], [1.1, 0.2], [1.1, -1.1], [-1.1, -1.1], [-1.1, 0.2]],
      peak: [[-1.2, 1.1], [0, 0], [1.2, 1.1], [1.2, -0.1], [0, -1.2], [-1.2, -0.1]], foot: [[-1.2, 1.2], [1.2, 1.2], [1.2, 0.4], [0.4, 0.4], [0.4, -1.2], [-0.4, -1.2], [-0.4, 0.4], [-1.2, 0.4]],
    }[shape];
    corners.forEach(([dx, dy], i) => (i ? context.lineTo(x + dx * r, y + dy * r) : context.moveTo(x + dx * r, y + dy * r)));
    context.closePath();
  }
  if (hollow) context.stroke(); else context.fill();
}

export function markerSvg(operator) {
  const svg = make("svg", { width: 14, height: 14, viewBox: "-7 -7 14 14", "aria-hidden": "true" });
  const points = { square: "M-4.5-4.5h9v9h-9z", circle: "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0", diamond: "M0-6L6 0L0 6L-6 0z", up: "M0-6L6 4L-6 4z", down: "M0 6L6-4L-6-4z", plus: "M-2-6h4v4h4v4h-4v4h-4v-4h-4v-4h4z", cross: "M-6-3.5L-3.5-6L0-2.5L3.5-6L6-3.5L2.5 0L6 3.5L3.5 6L0 2.5L-3.5 6L-6 3.5L-2.5 0z", star: "M0-7L2-2L7-2L3 1.5L4.5 6.5L0 3.5L-4.5 6.5L-3 1.5L-7-2L-2-2z", bar: "M-7-2.5h14v5h-14z", pillar: "M-2.5-7h5v14h-5z", left: "M-6 0L4-6L4 6z", right: "M6 0L-4-6L-4 6z", hexagon: "M-6 0L-3-5.5L3-5.5L6 0L3 5.5L-3 5.5z", hourglass: "M-5.5-6L5.5-6L1 0L5.5 6L-5.5 6L-1 0z", bow: "M-6-5.5L0-1L6-5.5L6 5.5L0 1L-6 5.5z", house: "M0-6.5L5.5-1L5.5 5.5L-5.5 5.5L-5.5-1z", chevron: "M-6-5.5L0 0L6-5.5L6 0.5L0 6L-6 0.5z", tee: "M-6-6h12v4h-4v8h-4v-8h-4z", shield: "M0 6.5L5.5 1L5.5-5.5L-5.5-5.5L-5.5 1z", peak: "M-6 5.5L0 0L6 5.5L6-0.5L0-6L-6-0.5z", foot: "M-6 6h12v-4h-4v-8h-4v8h-4z" };
  svg.append(make("path", { d: points[operator.marker], class: `op${operator.index}` }));
  return svg;
}

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
