// Charts of the whole search: progress, operators of the front, importance of the decisions.
import { areaOf, axes, colour, drawing, duration, el, make, mark, markerSvg, path, percent, scale, surface, valued } from "./charts.js";

export function history(trials) {
  const box = document.getElementById("history"), x = document.getElementById("progress-x"), y = document.getElementById("progress-y");
  const draw = drawing(box, (width, height) => {
    const svg = surface(box, width, height), area = areaOf(width, height), [i, j] = [Number(x.value), Number(y.value)];
    const points = trials.history.filter((m) => m[j] !== null);
    if (!points.length) {
      svg.append(make("text", { class: "tick middle", x: width / 2, y: height / 2 }, "No training has finished yet."));
      return;
    }
    const values = points.map((m) => m[j]), low = Math.min(...values), high = Math.max(...values), pad = (high - low) * 0.08 || 0.01;
    const across = scale(0, points.at(-1)[i] || 1, area.left, area.right), up = scale(low < 0 ? low - pad : Math.max(0, low - pad), high + pad, area.bottom, area.top);
    const said = j === 3 ? [`Best ${trials.primary.axis[0].toLowerCase()}${trials.primary.axis.slice(1)}`, (v) => mark(trials.primary.size * v)] : ["Hypervolume (0–1)", (v) => Number(v.toFixed(3))];
    axes(svg, across, up, area, { x: i ? "Training time" : "Trainings that ended", y: said[0], xTick: (v) => (i ? duration(v) : Number.isInteger(v) ? v : ""), yTick: said[1] });
    const line = [];
    for (const m of points) { if (line.length) line.push([across(m[i]), line.at(-1)[1]]); line.push([across(m[i]), up(m[j])]); }
    svg.append(make("path", { class: "area", d: `${path([[line[0][0], area.bottom], ...line, [line.at(-1)[0], area.bottom]])}Z`, fill: colour("--op2") }));
    svg.append(make("path", { class: "line", d: path(line), stroke: colour("--op2") }));
  });
  [x, y].forEach((input) => input.addEventListener("change", draw));
  return draw;
}

export function share(trials) {
  const box = document.getElementById("share"), legend = document.getElementById("share-legend");
  return drawing(box, (width, height) => {
    const svg = surface(box, width, height), area = areaOf(width, height);
    if (!trials.share.length) {
      svg.append(make("text", { class: "tick middle", x: width / 2, y: height / 2 }, trials.front.length ? "The networks of the front have no searched layers." : "The front is still empty."));
      legend.replaceChildren();
      return;
    }
    const y = scale(0, 1, area.bottom, area.top), step = area.width / trials.share.length, used = new Set();
    axes(svg, scale(0, 1, area.left, area.left), y, area, { x: "Stage", y: "Share of layers (%)", xTick: () => "", yTick: (v) => Math.round(100 * v) });
    trials.share.forEach(([stage, counts], i) => {
      const total = counts.reduce((a, b) => a + b, 0), x = area.left + i * step + step * 0.1;
      let below = 0;
      counts.forEach((n, k) => {
        if (!n) return;
        used.add(k);
        const bar = make("rect", { class: `op${trials.operators[k].index}`, x, width: step * 0.8, y: y((below + n) / total), height: (n / total) * area.height });
        bar.append(make("title", {}, `${stage}: ${trials.operators[k].name} ${percent(n / total, 0)}`));
        svg.append(bar);
        if ((n / total) * area.height > 16 && step > 34) svg.append(make("text", { class: "middle on-bar", x: x + step * 0.4, y: y((below + n / 2) / total) + 4 }, trials.operators[k].letters));
        below += n;
      });
      svg.append(make("text", { class: "tick middle", x: x + step * 0.4, y: area.bottom + 16 }, step > 60 ? stage : stage.replace("stage", "s").slice(0, 5)));
    });
    legend.replaceChildren(...trials.operators.flatMap((operator, k) => {
      if (!used.has(k)) return [];
      const item = el("li");
      item.append(markerSvg({ ...operator, marker: "square" }), ` ${operator.letters} = ${operator.name}`);
      return [item];
    }));
  });
}

export function importance(found, said, goal) {
  const box = document.getElementById("importance");
  if (!found.length) {
    box.replaceChildren(el("p", { class: "dim" }, "This needs at least ten finished trials with different decisions."));
    return;
  }
  document.getElementById("importance-said").textContent = said;
  const list = el("div", { class: "bars" });
  for (const { decision, share: value, chance, trials, means } of found.slice(0, 12)) {
    const [best, mean, count] = means[0], above = value > chance;
    list.append(el("span", { class: "name" }, decision));
    const bar = make("svg", { class: "bar", viewBox: "0 0 100 12", preserveAspectRatio: "none", role: "img", "aria-label": `${decision} explains ${percent(value, 0)}; 95 % of the shuffles stay within ${percent(chance, 0)}` });
    bar.append(make("rect", { class: "ground", width: 100, height: 12 }), make("rect", { class: "chance", width: 100 * chance, height: 12 }), make("rect", { class: above ? "share above" : "share", y: 3, width: 100 * value, height: 6 }));
    list.append(bar, el("span", { class: above ? "" : "dim" }, percent(value, 0)), el("span", { class: "dim" }, `chance ${percent(chance, 0)}`));
    list.append(el("span", { class: "best" }, `best mean: ${valued(goal, mean)} with ${best} (${count} of ${trials} trials)`));
  }
  box.replaceChildren(list);
}

export function parallel(picture, goal) {
  const box = document.getElementById("parallel"), { axes: all, lines, of } = picture;
  document.getElementById("parallel-said").textContent = lines.length
    ? `One line per finished trial (${lines.length === of ? "all" : `the best ${lines.length} of`} ${of}) through the ${all.length} most important decisions; the best tenth is highlighted, and the others are fainter the worse they are. A line is interrupted where a decision does not exist.`
    : "This needs finished trials with different decisions.";
  drawing(box, (width, height) => {
    box.querySelector("canvas")?.remove();
    const canvas = el("canvas", { "aria-hidden": "true" }), ratio = window.devicePixelRatio || 1;
    box.append(canvas);
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const context = canvas.getContext("2d"), svg = surface(box, width, height);
    context.scale(ratio, ratio);
    if (!lines.length) return;
    const x = (i) => 50 + (i * (width - 150)) / Math.max(1, all.length), last = x(all.length), top = 30, bottom = height - 40;
    const values = lines.map((l) => l[1]), value = scale(Math.min(...values), Math.max(...values), bottom, top);
    const at = (i, option) => bottom - ((option + 0.5) / all[i].options.length) * (bottom - top);
    const order = [...lines].reverse();
    order.forEach((line, rank) => {
      const good = rank / order.length, jitter = ((line[0] * 7919) % 17) / 17 - 0.5;
      context.strokeStyle = good > 0.9 ? colour("--op7") : colour("--op2");
      context.globalAlpha = good > 0.9 ? 0.8 : 0.06 + 0.25 * good;
      context.lineWidth = good > 0.9 ? 1.6 : 1;
      context.beginPath();
      let drawn = false;
      all.forEach((axis, i) => {
        const option = line[2 + i];
        if (option === null) { drawn = false; return; }
        const y = at(i, option) + (jitter * (bottom - top) * 0.6) / axis.options.length;
        if (drawn) context.lineTo(x(i), y); else context.moveTo(x(i), y);
        drawn = true;
      });
      if (drawn) context.lineTo(last, value(line[1]));
      context.stroke();
    });
    all.forEach((axis, i) => {
      svg.append(make("line", { class: "axis", x1: x(i), x2: x(i), y1: top, y2: bottom }));
      const name = make("text", { class: "tick middle", x: x(i), y: i % 2 ? height - 8 : height - 22 }, axis.name.length > 22 ? `…${axis.name.slice(-21)}` : axis.name);
      name.append(make("title", {}, axis.name));
      svg.append(name);
      axis.options.forEach((option, k) => svg.append(make("text", { class: "tick halo", x: x(i) + 5, y: at(i, k) + 4 }, option)));
    });
    svg.append(make("line", { class: "axis", x1: last, x2: last, y1: top, y2: bottom }), make("text", { class: "tick middle", x: last, y: height - 22 }, goal.name));
    for (const v of [value.low, value.high]) svg.append(make("text", { class: "tick", x: last + 6, y: value(v) + 4 }, valued(goal, v, 1)));
  });
}
