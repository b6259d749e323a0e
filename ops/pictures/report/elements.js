// Small helpers: elements whose text is always text, numbers as they are shown, and the state of the page.

const data = JSON.parse(document.getElementById("data").textContent);
const RUN_COLOURS = 8; // --run-0 to --run-7 in page.css, by turns

// What is shown. `cell` is [label, prediction] of the matrix, or null; `only` limits the videos, see ONLY in videos.js.
const state = { set: 0, run: 0, name: null, cell: null, only: "wrong", other: null, sort: "wrong", order: "label", first: 0 };
const redrawn = []; // functions that draw a section anew when the state has changed

// What has a data-key keeps the focus though it is made anew.
function change(values) {
  const key = document.activeElement?.dataset.key;
  Object.assign(state, values);
  for (const draw of redrawn) draw();
  if (key) document.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}

function element(tag, properties = {}, ...children) {
  const made = tag === "svg" || element.svg.has(tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, own] of Object.entries(value)) made.style.setProperty(key, own);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}
element.svg = new Set(["g", "path", "line", "circle", "text", "rect"]);

function fill(place, ...children) {
  place.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== false));
}

function body(section) {
  return document.querySelector(`#${section} .body`);
}

function say(text) {
  document.getElementById("said").textContent = text;
}

const runColour = (run) => `var(--run-${run % RUN_COLOURS})`;
const dot = (run) => element("span", { class: "dot", style: { background: runColour(run) }, "aria-hidden": "true" });
const runName = (run) => element("span", { class: "run" }, dot(run), data.runs[run].name);

const fixed = (value, digits = 1) => value.toFixed(digits);
function signed(value) {
  const size = Math.abs(value).toFixed(1);
  if (size === "0.0") return size;
  return `${value > 0 ? "+" : "\u2212"}${size}`;
}
const counted = (number, thing, things = `${thing}s`) => `${number.toLocaleString("en")} ${number === 1 ? thing : things}`;
const percent = (share) => (share >= 999.5 ? "100 %" : share > 0 && share < 10 ? `${fixed(share / 10)} %` : `${Math.round(share / 10)} %`);
const pValue = (p) => (p < 0.001 ? "< 0.001" : p.toPrecision(2).replace(/^1\.0$/, "1"));

// The set of videos that is shown and, of it, what a run made of its videos.
const theSet = () => data.sets[state.set];
const scoresOf = (run) => data.runs[run].scores;
const predicted = (run, video) => scoresOf(run).best[video][0];
const isRight = (run, video) => predicted(run, video) === theSet().labels[video];

function choice(label, options, value, choose) {
  const made = element("select", { "data-key": label, "aria-label": label, onchange: (event) => choose(event.target.value) },
    options.map(([key, text]) => element("option", { value: key, selected: String(key) === String(value) }, text)));
  return element("label", { class: "choice" }, element("span", {}, label), made);
}
