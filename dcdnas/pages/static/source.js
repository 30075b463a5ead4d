// Where a page's data comes from: the server that sent the page. A report has embedded.js in its place.
export { listen } from "./stream.js";

const base = document.body.dataset.base;

export async function json(path) {
  const answer = await fetch(`${base}/${path}`);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

// The page itself as the server gives it now; null when it gives none.
export async function again() {
  const answer = await fetch(base);
  return answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
}

// A piece of HTML; empty when there is none.
export async function piece(path) {
  const answer = await fetch(`${base}/${path}`);
  return answer.ok ? answer.text() : "";
}
