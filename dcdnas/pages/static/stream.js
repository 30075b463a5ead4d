// Listens to the server-sent events of the page's run.
export function listen(version, change) {
  const said = document.getElementById("connection"), base = document.body.dataset.base;
  let known = version;
  const source = new EventSource(`${base}/events?version=${known}`);
  source.onopen = () => { said.textContent = "Connected"; said.className = "on"; };
  source.onerror = () => { said.textContent = "Not connected"; said.className = ""; };
  source.addEventListener("change", (event) => { const news = JSON.parse(event.data); known = news.version; change(news); });
  source.addEventListener("problem", (event) => { said.textContent = JSON.parse(event.data); said.className = ""; source.close(); });
  addEventListener("pagehide", () => source.close());
}
