// The page of a run: reads its trials, draws them, and keeps the page up to date.
import { Trials } from "./data.js";
import { history, importance, parallel, share } from "./overview.js";
import { Scatter } from "./scatter.js";
import { again, json, listen, piece } from "./source.js";
import { Table } from "./table.js";

const base = document.body.dataset.base;

let wanted = null;
async function pick(number) {
  wanted = number;
  const text = await piece(`trials/${number}/card`);
  if (!text || wanted !== number) return;
  const card = document.getElementById("card");
  card.innerHTML = text;
  if (card.querySelector("[data-later]")) setTimeout(() => wanted === number && pick(number), 1500);
}

function facts(said) {
  for (const place of document.querySelectorAll("[data-fact]")) if (place.textContent !== said[place.dataset.fact]) place.textContent = said[place.dataset.fact];
  document.getElementById("progress").value = Number(said.value);
  const status = document.body.dataset.status = said.status.toLowerCase();
  document.getElementById("status").className = `pill ${status}`;
  if (!said["best-number"]) return;
  document.getElementById("best-actions").hidden = false;
  for (const link of document.querySelectorAll("[data-best]")) link.href = `${base}/trials/${said["best-number"]}${link.dataset.best}`;
}

// Fetches the tables that the server renders again, when their contents have changed.
async function parts() {
  const fresh = await again();
  if (!fresh) return;
  for (const id of ["front-part", "confirmed-part"]) document.getElementById(id).replaceChildren(...fresh.getElementById(id).childNodes);
}

async function decisions() {
  const found = await json("choices.json");
  importance(found.importances, found.said, trials.primary);
  const box = document.getElementById("parallel-box");
  box.addEventListener("toggle", () => box.open && parallel(found.picture, trials.primary), { once: true });
}

const trials = new Trials(await json("trials.json"));
const table = new Table(trials);
const scatter = new Scatter(trials, {
  pick,
  open: (number) => { location.href = `${base}/trials/${number}`; },
  select: (numbers) => table.select(numbers),
});
const redraws = [history(trials), share(trials)];
document.documentElement.dataset.ready = "yes";
if (trials.facts["best-number"]) scatter.choose(Number(trials.facts["best-number"]));
decisions();
listen(trials.version, (news) => {
  const started = performance.now();
  const stale = trials.facts.parts !== news.facts.parts;
  trials.take(news);
  facts(news.facts);
  if (stale) parts();
  scatter.update();
  redraws.forEach((draw) => draw());
  table.draw();
  document.documentElement.dataset.updated = (performance.now() - started).toFixed(1);
});
