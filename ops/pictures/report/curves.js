// Curves of the runs over epochs: accuracy, loss and learning rate, validation solid and training dashed.

const CURVES = [
  { key: "top1", title: "Top-1 accuracy (%)", show: (value) => fixed(value) },
  { key: "loss", title: "Loss", show: (value) => value.toPrecision(3) },
  { key: "lr", title: "Learning rate", show: (value) => value.toPrecision(2), only: "train" },
];
const SPLITS = { val: "validation", train: "training" };
const MARGIN = { left: 44, right: 12, top: 10, bottom: 26 };

function ticks(low, high, number) {
  const rough = (high - low) / number || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) found.push(value);
  return found.map((value) => Number(value.toPrecision(12)));
}

function drawChart(curve, width) {
  const height = 220;
  const lines = data.runs.flatMap((run, number) => Object.keys(SPLITS)
    .filter((split) => !curve.only || split === curve.only)
    .map((split) => ({ run: number, split, points: run.curves[curve.key][split] }))
    .filter((line) => line.points.length));
  const points = lines.flatMap((line) => line.points);
  const values = points.map((point) => point[1]);
  const last = Math.max(1, ...points.map((point) => point[0]));
  let low = curve.key === "top1" ? 0 : Math.min(...values, ...(curve.key === "lr" ? [0] : []));
  let high = Math.max(...values);
  if (high - low < 1e-12) [low, high] = [low - Math.abs(low) * 0.1 - 1e-9, high + Math.abs(high) * 0.1 + 1e-9];
  if (curve.key === "loss") [low, high] = [Math.max(0, low - (high - low) * 0.06), high + (high - low) * 0.06];
  const x = (epoch) => MARGIN.left + (epoch / last) * (width - MARGIN.left - MARGIN.right);
  const y = (value) => height - MARGIN.bottom - ((value - low) / (high - low)) * (height - MARGIN.top - MARGIN.bottom);
  const svg = element("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `${curve.title} over epochs of ${counted(data.runs.length, "run")}; the figures are in the table below` });
  for (const value of ticks(low, high, 5)) {
    svg.append(element("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }),
      element("text", { class: "tick", x: MARGIN.left - 6, y: y(value) + 4, "text-anchor": "end" }, String(value)));
  }
  for (const epoch of ticks(0, last, Math.max(2, Math.floor(width / 90))).filter(Number.isInteger)) {
    svg.append(element("text", { class: "tick", x: x(epoch), y: height - 8, "text-anchor": "middle" }, String(epoch)));
  }
  for (const line of lines) {
    const path = line.points.map(([epoch, value], i) => `${i ? "L" : "M"}${x(epoch).toFixed(1)} ${y(value).toFixed(1)}`);
    svg.append(element("path", { class: `curve ${line.split}`, d: path.join(""), style: { stroke: runColour(line.run) } }));
    const marked = line.points.length < 3 ? line.points : line.split === "val" ? line.points.slice(-1) : [];
    for (const [epoch, value] of marked) {
      svg.append(element("circle", { cx: x(epoch), cy: y(value), r: 4, style: { fill: runColour(line.run) } }));
    }
  }
  const cursor = element("line", { class: "cursor", y1: MARGIN.top, y2: height - MARGIN.bottom, visibility: "hidden" });
  svg.append(cursor);
  const readout = element("div", { class: "readout", hidden: true });
  const hide = () => { cursor.setAttribute("visibility", "hidden"); readout.hidden = true; };
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("pointermove", (event) => {
    const at = event.clientX - svg.getBoundingClientRect().left;
    const epoch = Math.round(((at - MARGIN.left) / (width - MARGIN.left - MARGIN.right)) * last);
    if (epoch < 0 || epoch > last) return hide();
    const here = lines.map((line) => [line, line.points.find((point) => point[0] === epoch)]).filter((pair) => pair[1]);
    cursor.setAttribute("x1", x(epoch));
    cursor.setAttribute("x2", x(epoch));
    cursor.setAttribute("visibility", "visible");
    readout.hidden = !here.length;
    readout.style.left = `${Math.min(x(epoch) + 10, Math.max(MARGIN.left, width - 200))}px`;
    fill(readout, element("strong", {}, `epoch ${epoch}`), here.map(([line, point]) => element("div", {}, dot(line.run),
      `${data.runs[line.run].name}, ${SPLITS[line.split]} ${curve.show(point[1])}`)));
  });
  return element("figure", {}, element("figcaption", {}, curve.title), element("div", { class: "chart" }, svg, readout));
}

function curveTable() {
  const rows = data.runs.flatMap((run, number) => Object.entries(SPLITS).map(([split, word]) => {
    const top1 = run.curves.top1[split];
    const loss = run.curves.loss[split];
    if (!top1.length) return null;
    const best = top1.reduce((a, b) => (b[1] > a[1] ? b : a));
    return element("tr", {}, element("th", { scope: "row" }, runName(number)), element("td", {}, word),
      element("td", {}, fixed(top1.at(-1)[1])), element("td", {}, `${fixed(best[1])} (epoch ${best[0]})`),
      element("td", {}, loss.length ? loss.at(-1)[1].toPrecision(3) : ""), element("td", {}, String(top1.at(-1)[0] + 1)));
  }));
  const heads = ["run", "videos of", "last top-1", "best top-1", "last loss", "epochs"];
  return element("details", {}, element("summary", {}, "These curves as figures"), element("div", { class: "scroll" },
    element("table", {}, element("thead", {}, element("tr", {}, heads.map((head) => element("th", { scope: "col" }, head)))),
      element("tbody", {}, rows))));
}

function drawCurves() {
  const place = body("curves");
  if (!data.runs.some((run) => run.curves.top1.train.length + run.curves.top1.val.length)) {
    document.getElementById("curves").hidden = true;
    return;
  }
  const charts = element("div", { class: "charts" });
  fill(place, element("p", { class: "key" }, data.runs.map((_, run) => runName(run)),
    element("span", { class: "run" }, element("span", { class: "sample val" }), "validation"),
    element("span", { class: "run" }, element("span", { class: "sample train" }), "training")), charts, curveTable());
  const wide = () => {
    const across = charts.clientWidth >= 900 ? 3 : charts.clientWidth >= 600 ? 2 : 1;
    const width = Math.floor((charts.clientWidth - (across - 1) * 24) / across);
    if (width > 0) fill(charts, CURVES.map((curve) => drawChart(curve, width)));
  };
  new ResizeObserver(wide).observe(charts);
}
