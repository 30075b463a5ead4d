// The table of trials. It is sorted, searched and filtered here and shows one page of rows, so that ten thousand stay fast.
import { duration, el, make, short, valued } from "./charts.js";

const PAGE = 50, MOST = 4;
const find = document.getElementById("find"), within = document.getElementById("within"), state = document.getElementById("state"), starred = document.getElementById("starred");
const table = document.getElementById("trials"), compare = document.getElementById("compare"), shown = document.getElementById("shown");
const pages = document.getElementById("pages"), base = document.body.dataset.base;

export class Table {
  constructor(trials) {
    Object.assign(this, { trials, key: trials.primary.name, down: trials.primary.sign > 0, page: 0, ticked: new Set(), only: null });
    for (const name of trials.states) state.append(el("option", { value: name }, name));
    find.form.addEventListener("submit", (event) => event.preventDefault());
    const changed = () => { this.page = 0; this.draw(); };
    [find, within, starred, state].forEach((input) => input.addEventListener("input", changed));
    for (const button of table.tHead.querySelectorAll("button")) button.addEventListener("click", () => this.sort(button));
    document.getElementById("before").addEventListener("click", () => { this.page--; this.draw(); });
    document.getElementById("after").addEventListener("click", () => { this.page++; this.draw(); });
    table.tBodies[0].addEventListener("change", (event) => this.tick(event.target));
    for (const box of table.tBodies[0].querySelectorAll(":checked")) this.tick(box);
    this.draw();
  }

  select(numbers) { this.only = numbers; this.page = 0; this.draw(); }

  sort(button) {
    const { key } = button.dataset, first = ["number", "state", "mix", ...this.trials.metrics].includes(key) || this.trials.goal(key)?.sign < 0;
    this.down = key === this.key ? !this.down : !first;
    this.key = key;
    for (const cell of table.tHead.querySelectorAll("th[aria-sort]")) cell.setAttribute("aria-sort", "none");
    button.parentElement.setAttribute("aria-sort", this.down ? "descending" : "ascending");
    this.page = 0;
    this.draw();
  }

  rows() {
    const { trials } = this, words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (row) => {
      if (!row || (starred.checked && !trials.note(row)[0]) || (this.only && !this.only.has(row[0])) || (within.checked && !trials.within(row)) || (state.value && trials.state(row) !== state.value)) return false;
      if (!words.length) return true;
      const text = `${row[0]} ${trials.state(row)} ${trials.get(row, "mix")} ${row[8]} ${trials.note(row)[1]}`.toLowerCase();
      return words.every((w) => (/^\d+$/.test(w) ? String(row[0]) === w || row[8].includes(w) : text.includes(w)));
    };
    // rows without a value come last in both directions; so do unfinished trials when sorted by the primary objective
    const value = this.key === trials.primary.name ? (r) => (r[1] === 0 ? r[2] : null) : this.key === "state" ? trials.state.bind(trials) : (r) => trials.get(r, this.key);
    const sign = this.down ? -1 : 1;
    return trials.rows.filter(fits).sort((a, b) => {
      const [p, q] = [value(a), value(b)];
      if (p === q) return a[0] - b[0];
      if (p === null || q === null) return p === null ? 1 : -1;
      return sign * (p < q ? -1 : 1);
    });
  }

  draw() {
    const { trials } = this, found = this.rows(), last = Math.max(0, Math.ceil(found.length / PAGE) - 1);
    this.page = Math.min(this.page, last);
    const from = this.page * PAGE, part = found.slice(from, from + PAGE);
    const held = document.activeElement?.closest?.("#trials tbody tr")?.dataset.number, what = document.activeElement?.tagName;
    table.classList.toggle("unnoted", !Object.keys(trials.notes).length);
    table.tBodies[0].replaceChildren(...part.map((row) => this.row(row)));
    if (held) table.tBodies[0].querySelector(`tr[data-number="${held}"] ${what === "INPUT" ? "input" : "a"}`)?.focus({ preventScroll: true });
    const total = trials.rows.length.toLocaleString("en"), count = found.length.toLocaleString("en");
    shown.textContent = `${count} of ${total} trials${this.only ? " (selected in the chart)" : ""}${found.length ? "" : trials.rows.length ? ": none matches the filters" : ": none has been tried yet"}`;
    pages.hidden = last === 0;
    document.getElementById("which").textContent = `${from + 1}–${from + part.length} of ${count}`;
    document.getElementById("before").disabled = this.page === 0;
    document.getElementById("after").disabled = this.page === last;
  }

  row(row) {
    const { trials } = this, line = el("tr", { "data-number": row[0], ...(trials.within(row) ? {} : { class: "over" }) });
    const cell = (text, css = "num") => line.appendChild(el("td", css ? { class: css } : {}, text));
    const box = el("input", { type: "checkbox", "aria-label": `Compare trial ${row[0]}` });
    box.checked = this.ticked.has(row[0]);
    box.disabled = !box.checked && this.ticked.size >= MOST;
    if (compare) cell("", "").append(box);
    const head = line.appendChild(el("th", { scope: "row" }));
    head.append(el("a", { href: `${base}/trials/${row[0]}` }, String(row[0])));
    const [marked, noted] = trials.note(row);
    for (const [is, css, sign, said] of [[trials.onFront.has(row[0]), "mark", "◎", "on the front"], [marked, "star", "★", "starred"]]) {
      if (!is) continue;
      const glyph = el("span", { class: css, title: said }, sign);
      glyph.append(el("span", { class: "hidden" }, ` ${said}`));
      head.append(" ", glyph);
    }
    cell(trials.state(row), "");
    for (const goal of trials.goals) cell(valued(goal, trials.get(row, goal.name)));
    for (const metric of trials.metrics) cell(short(trials.get(row, metric), trials.units[metric]));
    if (trials.asked) cell(row[3] ? String(row[3]) : "–");
    cell(row[3] ? duration(row[4]) : "–");
    const operator = trials.operator(row), square = make("svg", { width: 10, height: 10, "aria-hidden": "true" });
    square.append(make("rect", { class: `op${operator.index}`, width: 10, height: 10, rx: 2 }));
    cell("", "whole").append(square, ` ${trials.get(row, "mix")}`);
    cell(noted, "noted");
    return line;
  }

  tick(box) {
    const number = Number(box.closest("tr").dataset.number);
    if (box.checked) this.ticked.add(number); else this.ticked.delete(number);
    const enough = this.ticked.size >= 2 && this.ticked.size <= MOST;
    compare.setAttribute("aria-disabled", String(!enough));
    if (enough) compare.href = `${base}/compare?trials=${[...this.ticked].join(",")}`; else compare.removeAttribute("href");
    for (const other of table.tBodies[0].querySelectorAll("input")) other.disabled = !other.checked && this.ticked.size >= MOST;
  }
}
