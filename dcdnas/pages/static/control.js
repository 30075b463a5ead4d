// Actions of a page: stop, resume, star, note. The token is sent in a header; this browser stores it for this address.
const KEY = "dcdnas-token", dialog = document.getElementById("token"), given = document.getElementById("token-given");

function ask(problem) {
  const said = document.getElementById("token-problem");
  said.hidden = !problem;
  said.textContent = problem;
  given.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue ? given.value.trim() : ""), { once: true }));
}

async function send(url, content) {
  for (let problem = ""; ;) {
    const token = (!problem && localStorage.getItem(KEY)) || (await ask(problem));
    given.value = "";
    if (!token) return null;
    const headers = { "content-type": "application/json", "x-dcdnas-token": token };
    const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(content) });
    const found = await answer.json().catch(() => ({ said: `The server could not do it (status ${answer.status}). Its terminal shows why.` }));
    if (answer.status !== 403) {
      localStorage.setItem(KEY, token);
      return { ok: answer.ok, ...found };
    }
    localStorage.removeItem(KEY);
    problem = found.said;
  }
}

// The content that a button sends: a fixed one, the number or text of a field, or the opposite of the button's pressed state.
function wanted(button) {
  const { content, more, text, toggles } = button.dataset;
  if (more) return { more: Number(document.getElementById(more).value) };
  if (text) return { text: document.getElementById(text).value };
  if (toggles) return { [toggles]: button.getAttribute("aria-pressed") !== "true" };
  return JSON.parse(content || "{}");
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-send]"), said = document.getElementById("control-said");
  if (!button || button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  said.textContent = "Sending …";
  try {
    const answer = await send(button.dataset.send, wanted(button));
    said.textContent = answer ? answer.said : "";
    said.className = answer && !answer.ok ? "bad" : "dim";
    if (answer?.ok && button.dataset.toggles) {
      button.setAttribute("aria-pressed", String(answer[button.dataset.toggles]));
      button.firstElementChild.textContent = answer[button.dataset.toggles] ? "★" : "☆";
    }
  } catch {
    said.textContent = "The server did not answer. Is it still running?";
    said.className = "bad";
  } finally {
    button.removeAttribute("aria-busy");
  }
});
