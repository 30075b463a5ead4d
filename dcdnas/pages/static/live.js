// The page of running trainings; its tables are fetched again whenever the run has changed.
import { listen } from "./stream.js";
const box = document.getElementById("live");
let waiting = false;
async function again() {
  if (waiting) return;
  waiting = true;
  try {
    const answer = await fetch(`${document.body.dataset.base}/live?piece=1`);
    if (answer.ok && !box.contains(document.activeElement)) box.innerHTML = await answer.text();
  } finally { waiting = false; }
}
listen(document.body.dataset.version, again);
