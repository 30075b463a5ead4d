// The search field of the table of runs.
const find = document.getElementById("find"), table = document.getElementById("runs");
if (find && table) {
  const rows = [...table.tBodies[0].rows];
  find.form.addEventListener("submit", (event) => event.preventDefault());
  find.addEventListener("input", () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((w) => text.includes(w));
      shown += !row.hidden;
    }
    document.getElementById("found").textContent = words.length ? `${shown} of ${rows.length} runs` : "";
  });
}
