// The confusion matrix of one run: rows are labels, columns predictions. A cell shows its videos, by click or Enter;
// arrow keys go from cell to cell. Of many classes some are shown at a time, in the order that is chosen.

const MOST_CLASSES = 40;

const MATRIX_ORDERS = { ...CLASS_ORDERS, near: ["confused ones together", null] };

function countCells(run) {
  const set = theSet();
  const counts = new Map(); // label * K + prediction -> videos
  set.labels.forEach((label, video) => {
    const key = label * set.classes.length + predicted(run, video);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  });
  return counts;
}

// Each class beside the one it is confused with most, of those that are left.
function nearOrder(counts, number) {
  const confused = (a, b) => (counts.get(a * number + b) ?? 0) + (counts.get(b * number + a) ?? 0);
  const left = new Set([...Array(number).keys()]);
  const found = [0];
  left.delete(0);
  while (left.size) {
    const last = found.at(-1);
    let best = null;
    for (const label of left) if (best === null || confused(last, label) > confused(last, best)) best = label;
    found.push(best);
    left.delete(best);
  }
  return found;
}

function orderedClasses(counts) {
  const set = theSet();
  if (state.order === "near") return nearOrder(counts, set.classes.length);
  return set.classes.map((_, label) => label).sort(CLASS_ORDERS[state.order][1]());
}

function drawMatrix() {
  const set = theSet();
  const number = set.classes.length;
  const counts = countCells(state.run);
  let order = orderedClasses(counts);
  if (state.name !== null) { // the class, and those that it is confused with
    order = order.filter((label) => label === state.name || counts.has(state.name * number + label) || counts.has(label * number + state.name));
  }
  const first = Math.min(state.first, Math.max(0, order.length - 1));
  const shown = order.slice(first, first + MOST_CLASSES);
  const totals = new Map();
  set.labels.forEach((label) => totals.set(label, (totals.get(label) ?? 0) + 1));
  const size = shown.length > 24 ? "small" : shown.length > 12 ? "middle" : "large";
  const head = element("tr", { role: "row" }, element("td", { class: "corner" }, element("span", {}, "label"), element("span", {}, "named")),
    shown.map((label) => element("th", { scope: "col", title: set.classes[label] }, element("span", {}, set.classes[label]))));
  const rows = shown.map((label, row) => element("tr", { role: "row" },
    element("th", { scope: "row", title: set.classes[label] }, element("span", {}, set.classes[label])),
    shown.map((named, column) => matrixCell(counts.get(label * number + named) ?? 0, totals.get(label) ?? 0, label, named, row, column))));
  const some = order.length > shown.length;
  const step = (by) => change({ first: Math.min(Math.max(0, first + by), order.length - 1) });
  fill(body("matrix"),
    element("div", { class: "tools" },
      choice("Order of classes", Object.entries(MATRIX_ORDERS).map(([key, [text]]) => [key, text]), state.order, (order) => change({ order, first: 0 })),
      some ? element("span", { class: "pages" },
        element("button", { type: "button", "data-key": "previous", disabled: first === 0, onclick: () => step(-MOST_CLASSES) }, "Previous"),
        ` classes ${first + 1} to ${first + shown.length} of ${order.length} `,
        element("button", { type: "button", "data-key": "next", disabled: first + MOST_CLASSES >= order.length, onclick: () => step(MOST_CLASSES) }, "Next")) : null),
    element("div", { class: "scroll" }, element("table", { class: `cells ${size}`, role: "grid", onkeydown: moveInMatrix,
      "aria-label": `Confusion matrix of ${data.runs[state.run].name}: rows are labels, columns what was named` },
      element("thead", {}, head), element("tbody", {}, rows))),
    element("p", { class: "note" }, "Videos in each cell; the stronger the colour, the larger the share of its row. Blue is right, orange is wrong. Click a cell, or go there with the arrow keys and press Enter, to see its videos."),
    confusions(counts));
  const reached = document.querySelector('#matrix [aria-selected="true"] button') ?? document.querySelector("#matrix [data-row]");
  if (reached) reached.tabIndex = 0;
}

function matrixCell(count, total, label, named, row, column) {
  const set = theSet();
  const share = total ? count / total : 0;
  const chosen = state.cell && state.cell[0] === label && state.cell[1] === named;
  const depth = count ? Math.round(22 + 78 * share) : 0;
  return element("td", { role: "gridcell", "aria-selected": String(Boolean(chosen)) },
    element("button", { type: "button", class: [label === named ? "right" : "wrong", depth > 58 ? "deep" : "", depth > 85 ? "deepest" : "", count ? "" : "none"].join(" "),
      tabindex: -1, "data-key": `cell ${label} ${named}`, "data-row": row, "data-column": column,
      style: { "--depth": `${depth}%` },
      title: `${set.classes[label]} named ${set.classes[named]}: ${counted(count, "video")} of ${total}`,
      "aria-label": `${set.classes[label]} named ${set.classes[named]}: ${counted(count, "video")} of ${total}`,
      onclick: () => chooseCell(label, named) }, count ? String(count) : ""));
}

function chooseCell(label, named) {
  const again = state.cell && state.cell[0] === label && state.cell[1] === named;
  change({ cell: again ? null : [label, named], only: again ? "wrong" : "all" });
  if (!again && document.documentElement.clientWidth < 1100) toVideos();
}

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function moveInMatrix(event) {
  const { row, column } = event.target.dataset;
  const cellAt = (r, c) => event.currentTarget.querySelector(`[data-row="${r}"][data-column="${c}"]`);
  let next = null;
  if (event.key in STEPS) next = cellAt(Number(row) + STEPS[event.key][0], Number(column) + STEPS[event.key][1]);
  if (event.key === "Home") next = cellAt(row, 0);
  if (event.key === "End") next = [...event.currentTarget.querySelectorAll(`[data-row="${row}"]`)].at(-1);
  if (!next) return;
  event.preventDefault();
  event.target.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

// The largest cells beside the diagonal, for matrices that do not fit a screen.
function confusions(counts) {
  const set = theSet();
  const number = set.classes.length;
  const wrong = [...counts].map(([key, count]) => [Math.floor(key / number), key % number, count])
    .filter(([label, named]) => label !== named && (state.name === null || label === state.name || named === state.name))
    .sort((a, b) => b[2] - a[2]).slice(0, 8);
  if (!wrong.length) return null;
  return element("div", { class: "most" }, element("h3", {}, "Most frequent confusions"), element("ol", {}, wrong.map(([label, named, count]) =>
    element("li", {}, element("button", { type: "button", class: "link", onclick: () => { change({ cell: [label, named], only: "all" }); toVideos(); } },
      `${set.classes[label]} named ${set.classes[named]}`), ` ${count}`))));
}
