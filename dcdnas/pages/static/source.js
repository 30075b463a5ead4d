// Data source of a page: the server that sent it. In a report embedded.js takes its place.
export { listen } from "./stream.js";

const base = document.body.dataset.base;

export async function json(path) {
  const answer = await fetch(`${base}/${path}`);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

// Fetches the current version of the page from the server; null when that fails.
export async function again() {
  const answer = await fetch(base);
  return answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
}

// Fetches a piece of HTML; empty when that fails.
export async function piece(path) {
  const answer = await fetch(`${base}/${path}`);
  return answer.ok ? answer.text() : "";
}
