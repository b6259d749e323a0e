// Tables: the runs and what they reach, one run against the others, and the accuracy of every class.

function drawRuns() {
  const facts = ["method", "clusters", "frames seen", "epochs", "minutes"].filter((fact) =>
    data.runs.some((run) => run.facts[fact] !== undefined));
  const place = body("runs");
  const rows = data.runs.map((run, number) => element("tr", {}, element("th", { scope: "row", title: run.facts.folder }, runName(number)),
    facts.map((fact) => element("td", {}, run.facts[fact] ?? "")), accuracyCells(run)));
  const heads = ["run", ...facts, "top-1 %, 95 % interval", "top-5 %", "class mean %"];
  fill(place, element("div", { class: "scroll" }, element("table", {},
    element("thead", {}, element("tr", {}, heads.map((head) => element("th", { scope: "col" }, head)))),
    element("tbody", {}, rows))), data.sets.length ? element("div", { id: "pairs" }) : null,
    data.sets.length ? null : element("p", { class: "note" }, "No scores of videos were given, so there are curves alone."));
  if (data.sets.length) redrawn.push(drawPairs);
}

function accuracyCells(run) {
  if (run.scores) {
    const [top1, low, high] = run.scores.top1;
    return [element("td", {}, interval(top1, low, high)), element("td", {}, fixed(run.scores.top5)), element("td", {}, fixed(run.scores.mean_class))];
  }
  const [last] = run.curves.top1.val.slice(-1);
  return [element("td", {}, last ? fixed(last[1]) : "", " ", element("small", {}, "of the log")), element("td"), element("td")];
}

function interval(value, low, high) {
  return [fixed(value), " ", element("small", {}, `${fixed(low)} to ${fixed(high)}`)];
}

// One run against each other of its set: the videos that only one of them names rightly are a click away.
function drawPairs() {
  const place = document.getElementById("pairs");
  const set = theSet();
  const others = set.runs.filter((run) => run !== state.run);
  if (!others.length) return fill(place);
  const only = (ahead, behind, number) => element("button", { type: "button", class: "link", disabled: !number,
    "aria-label": `${counted(number, "video")} that only ${data.runs[ahead].name} gets right, of it and ${data.runs[behind].name}`,
    onclick: () => { change({ run: ahead, other: behind, only: "ahead", cell: null }); toVideos(); } }, String(number));
  const rows = others.map((run) => {
    const pair = set.pairs[set.runs.indexOf(state.run)][set.runs.indexOf(run)];
    const [low, high] = pair.interval;
    const sure = pair.p < 0.05;
    return element("tr", {}, element("th", { scope: "row" }, runName(run)),
      element("td", {}, sure ? element("strong", {}, signed(pair.difference)) : signed(pair.difference)),
      element("td", {}, `${signed(low)} to ${signed(high)}`), element("td", {}, only(state.run, run, pair.only_a)),
      element("td", {}, only(run, state.run, pair.only_b)), element("td", {}, pValue(pair.p)));
  });
  const name = data.runs[state.run].name;
  const heads = [`${name} against`, "ahead by", "95 % interval", `only ${name} right`, "only the other right", "p"];
  fill(place, element("h3", {}, "Paired differences on the same videos"), element("div", { class: "scroll" }, element("table", {},
    element("thead", {}, element("tr", {}, heads.map((head) => element("th", { scope: "col" }, head)))),
    element("tbody", {}, rows))),
  element("p", { class: "note" }, "Points of top-1. Intervals: videos drawn anew in pairs; p: McNemar's exact test, bold below 0.05. The more runs are compared, the more often one is below by chance."));
}

const CLASS_ORDERS = {
  label: ["as labelled", () => (a, b) => a - b],
  worst: ["worst first", () => (a, b) => classShare(a) - classShare(b) || a - b],
  name: ["by name", () => (a, b) => theSet().classes[a].localeCompare(theSet().classes[b], undefined, { numeric: true })],
  size: ["most videos first", () => (a, b) => scoresOf(state.run).per_class[b][1] - scoresOf(state.run).per_class[a][1] || a - b],
};

function classShare(label) {
  const [right, total] = scoresOf(state.run).per_class[label];
  return total ? right / total : 2; // classes without a video come last
}

let allClasses = false;
const FEW_CLASSES = 12;

function drawClasses() {
  const set = theSet();
  const inOrder = set.classes.map((_, label) => label).filter((label) => scoresOf(state.run).per_class[label][1])
    .sort(CLASS_ORDERS[state.order in CLASS_ORDERS ? state.order : "label"][1]());
  const shown = allClasses ? inOrder : inOrder.slice(0, FEW_CLASSES);
  const rows = shown.map((label) => element("div", { class: "class", role: "row" },
    element("div", { role: "rowheader" }, element("button", { type: "button", class: "link", "data-key": `class ${label}`, "aria-pressed": String(state.name === label),
      onclick: () => change({ name: state.name === label ? null : label, cell: null, first: 0 }) }, set.classes[label])),
    element("div", { role: "cell" }, set.runs.map((run) => classBar(run, label)))));
  fill(body("classes"), element("p", { class: "note" }, "Share of each class's videos that are named rightly, with Wilson's 95 % interval. A class's name shows its videos alone."),
    element("div", { class: "class-list", role: "table", "aria-label": "Accuracy of every class" }, rows),
    inOrder.length > FEW_CLASSES ? element("button", { type: "button", class: "more", onclick: () => { allClasses = !allClasses; drawClasses(); } },
      allClasses ? "Show fewer" : `Show all ${inOrder.length} classes`) : null);
}

function classBar(run, label) {
  const [right, total, low, high] = scoresOf(run).per_class[label];
  const share = (100 * right) / total;
  const text = `${fixed(share)} % of ${total}`;
  return element("div", { class: "bar", title: `${data.runs[run].name}: ${right} of ${total}, ${fixed(low)} to ${fixed(high)} %` },
    element("div", { class: "track", style: { "--colour": runColour(run) } },
      element("div", { class: "whisker", style: { left: `${low}%`, width: `${high - low}%` } }),
      element("div", { class: "value", style: { left: `${share}%` } })),
    element("span", { class: "figure" }, element("span", { class: "unseen" }, `${data.runs[run].name}: `), text,
      element("span", { class: "unseen" }, `, ${fixed(low)} to ${fixed(high)} %`)));
}
