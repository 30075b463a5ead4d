// A report is one file with all its pages; the part of the address after # selects the page. Each change of page reloads the file.
import { held, missing } from "./embedded.js";

const path = location.hash.startsWith("#/") ? location.hash.slice(1) : "/";
const main = document.getElementById("main"), page = held(path);
main.replaceChildren(page ? page.content.cloneNode(true) : missing(path, "no-page"));
document.title = page ? page.dataset.title : document.title;
for (const link of document.querySelectorAll(".top nav a")) {
  const here = link.hash.slice(1) || "/";
  if (here === path || (here !== "/" && path.startsWith(`${here}?`))) link.setAttribute("aria-current", "page");
}
document.documentElement.classList.remove("elsewhere");
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
addEventListener("hashchange", () => location.reload());
if (page) await import(`dcdnas/${page.dataset.script}.js`);
document.documentElement.dataset.shown = path;
