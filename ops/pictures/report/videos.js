// The videos behind what is chosen: a card each, with frames and clusters where the report holds them. Cards are made
// a page at a time.

const PAGE = 24;
let cards = PAGE;

const ONLY = {
  wrong: ["wrong ones", (video) => !isRight(state.run, video)],
  all: ["all", () => true],
  right: ["right ones", (video) => isRight(state.run, video)],
  ahead: ["only this run right", (video) => isRight(state.run, video) && !isRight(otherRun(), video)],
  behind: ["only the other run right", (video) => !isRight(state.run, video) && isRight(otherRun(), video)],
  named: ["runs disagree", (video) => new Set(theSet().runs.map((run) => predicted(run, video))).size > 1],
};
const OF_TWO = ["ahead", "behind"];
const VIDEO_ORDERS = {
  wrong: ["most wrong first", (video) => scoresOf(state.run).margin[video]],
  right: ["most right first", (video) => -scoresOf(state.run).margin[video]],
  unsure: ["least sure first", (video) => Math.abs(scoresOf(state.run).margin[video])],
};

function otherRun() {
  const others = theSet().runs.filter((run) => run !== state.run);
  return others.includes(state.other) ? state.other : others[0];
}

function chosenVideos() {
  const set = theSet();
  const key = VIDEO_ORDERS[state.sort][1];
  const kept = set.names.map((_, video) => video).filter((video) => {
    const label = set.labels[video];
    const named = predicted(state.run, video);
    if (state.cell) return label === state.cell[0] && named === state.cell[1];
    if (state.name !== null && label !== state.name && named !== state.name) return false;
    return ONLY[state.only][1](video);
  });
  return kept.sort((a, b) => key(a) - key(b) || a - b);
}

function describeChoice(number) {
  const set = theSet();
  const run = data.runs[state.run].name;
  if (state.cell) {
    const [label, named] = state.cell.map((each) => set.classes[each]);
    return `${counted(number, "video")} of ${label} named ${named} by ${run}`;
  }
  const of = state.name === null ? "" : ` of ${set.classes[state.name]}, or named so`;
  const which = {
    wrong: `named wrongly by ${run}`, all: "", right: `named rightly by ${run}`, named: "that the runs name differently",
  }[state.only] ?? (state.only === "ahead" ? `that ${run} gets right and ${data.runs[otherRun()].name} does not`
    : `that ${data.runs[otherRun()].name} gets right and ${run} does not`);
  return `${counted(number, "video")}${of} ${which}`.trim();
}

function drawVideos() {
  cards = PAGE;
  const set = theSet();
  const chosen = chosenVideos();
  const several = set.runs.length > 1;
  const offered = Object.entries(ONLY).filter(([key]) => several || !(OF_TWO.includes(key) || key === "named"));
  const list = element("ul", { class: "cards" });
  const more = element("button", { type: "button", class: "more", onclick: () => { cards += PAGE; extend(); } });
  const extend = () => {
    const begun = list.children.length;
    list.append(...chosen.slice(begun, cards).map(card));
    more.hidden = cards >= chosen.length;
    more.textContent = `Show ${Math.min(PAGE, chosen.length - cards)} more of ${chosen.length - cards}`;
    if (begun) list.children[begun].querySelector("h3").focus();
  };
  fill(body("videos"),
    element("div", { class: "tools" },
      state.cell ? null : choice("Show", offered.map(([key, [text]]) => [key, text]), state.only, (only) => change({ only })),
      !state.cell && OF_TWO.includes(state.only) ? choice("Other run", set.runs.filter((run) => run !== state.run).map((run) => [run, data.runs[run].name]), otherRun(), (other) => change({ other: Number(other) })) : null,
      choice("Order of videos", Object.entries(VIDEO_ORDERS).map(([key, [text]]) => [key, text]), state.sort, (sort) => change({ sort })),
      state.cell ? element("button", { type: "button", onclick: () => { change({ cell: null, only: "wrong" }); toVideos(); } }, "All cells") : null),
    element("p", { class: "chosen" }, describeChoice(chosen.length)), list, more,
    set.note ? element("p", { class: "note" }, set.note) : null);
  extend();
  say(describeChoice(chosen.length));
}

function card(video) {
  const set = theSet();
  const strip = set.strips[video];
  return element("li", { class: "card" },
    element("h3", { tabindex: "-1" }, element("span", { class: "path" }, set.names[video]), element("span", { class: "label" }, set.classes[set.labels[video]])),
    strip ? stripOf(video, strip) : null,
    element("div", { class: "verdicts" }, set.runs.map((run) => verdict(run, video))));
}

function verdict(run, video) {
  const set = theSet();
  const scores = scoresOf(run);
  const right = isRight(run, video);
  const others = scores.best[video].map((label, place) => [label, place]).slice(1).filter(([label]) => label !== set.labels[video])
    .map(([label, place]) => `${set.classes[label]} (${percent(scores.share[video][place])})`);
  return element("div", { class: run === state.run ? "verdict own" : "verdict" }, runName(run),
    element("span", { class: right ? "named right" : "named wrong" }, element("span", { "aria-hidden": "true" }, right ? "\u2713 " : "\u2717 "),
      `${set.classes[predicted(run, video)]} (${percent(scores.share[video][0])})`, element("span", { class: "unseen" }, right ? ", right" : ", wrong")),
    right ? null : element("span", { class: "own-share" }, `${set.classes[set.labels[video]]} (${percent(scores.label_share[video])})`),
    element("span", { class: "others" }, others.join(", ")));
}

// The frames, evenly spaced in time, and under them a band for each run that cuts the video, on the same time axis.
function stripOf(video, strip) {
  const set = theSet();
  const path = set.names[video];
  const bands = set.runs.map((run, place) => [run, strip.cuts[place]]).filter(([, cut]) => cut);
  return element("div", { class: "scroll strip", tabindex: "0", role: "group", "aria-label": `Frames of ${path}` },
    element("div", { class: "film" },
      element("img", { src: strip.image, alt: `${strip.shown.length} of the ${counted(strip.frames, "frame")} of ${path}, in time order`, width: strip.shown.length, height: 1, decoding: "async" }),
      bands.map(([run, cut]) => (cut.parts ? band(run, cut.parts, strip.frames) : samples(run, cut.seen, strip.frames))),
      element("div", { class: "time", "aria-hidden": "true" }, element("span", {}, "frame 0"), element("span", {}, String(strip.frames - 1)))));
}

function band(run, parts, frames) {
  const clusters = [...new Set(parts.map((part) => part[1]))];
  const pieces = parts.map(([begin, cluster], place) => {
    const end = place + 1 < parts.length ? parts[place + 1][0] : frames;
    const number = clusters.indexOf(cluster);
    return element("span", { class: `part part-${number % 4}`, style: { "flex-grow": end - begin }, title: `${data.runs[run].name}: cluster ${number + 1}, frames ${begin} to ${end - 1}` },
      (end - begin) / frames > 0.03 ? String(number + 1) : "");
  });
  return element("div", { class: "band", role: "img", "aria-label": `${data.runs[run].name}: ${counted(clusters.length, "cluster")}` },
    element("span", { class: "edge", style: { background: runColour(run) } }), pieces);
}

function samples(run, seen, frames) {
  return element("div", { class: "band sampled", role: "img", "aria-label": `${data.runs[run].name}: ${counted(seen.length, "frame")} sampled` },
    element("span", { class: "edge", style: { background: runColour(run) } }),
    seen.map((frame) => element("span", { class: "sampled-frame", title: `${data.runs[run].name}: sees frame ${frame}`, style: { left: `${(100 * (frame + 0.5)) / frames}%`, background: runColour(run) } })));
}

function toVideos() {
  const place = document.getElementById("videos");
  place.focus({ preventScroll: true });
  place.scrollIntoView({ block: "start" });
}
