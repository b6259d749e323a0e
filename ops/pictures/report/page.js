// Puts the page together.

function describePage() {
  const parts = [counted(data.runs.length, "run")];
  for (const set of data.sets) parts.push(`${counted(set.names.length, "video")} of ${counted(set.classes.length, "class", "classes")}`);
  document.getElementById("about").textContent = parts.join(" \u00b7 ");
}

function drawControls() {
  const set = theSet();
  fill(document.getElementById("controls"),
    data.sets.length > 1 ? choice("Set of videos", data.sets.map((each, number) => [number, `${each.names[0]}, \u2026 (${each.names.length})`]), state.set,
      (number) => change({ set: Number(number), run: data.sets[number].runs[0], cell: null, name: null, first: 0, only: "wrong" })) : null,
    set.runs.length > 1 ? element("div", { class: "choice", role: "group", "aria-label": "Run" }, element("span", {}, "Run"),
      element("div", { class: "segments" }, set.runs.map((run) => element("button", { type: "button", "data-key": `run ${run}`, "aria-pressed": String(run === state.run),
        onclick: () => change({ run }) }, dot(run), data.runs[run].name)))) : null,
    choice("Class", [["", "all classes"], ...set.classes.map((name, label) => [label, name])], state.name ?? "",
      (label) => change({ name: label === "" ? null : Number(label), cell: null, first: 0 })));
}

// Escape leads from the videos back to the cell that they are of.
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && state.cell && event.target.closest("#videos")) {
    document.querySelector('#matrix [aria-selected="true"] button')?.focus();
  }
});

describePage();
drawRuns();
drawCurves();
if (data.sets.length) {
  state.run = data.sets[0].runs[0];
  const none = data.sets[0].runs.every((run) => scoresOf(run).top1[0] === 100);
  state.only = none ? "all" : "wrong";
  state.order = data.sets[0].classes.length > MOST_CLASSES ? "worst" : "label";
  redrawn.push(drawControls, drawClasses, drawMatrix, drawVideos);
  change({});
} else {
  for (const section of ["controls", "classes", "matrix", "videos"]) document.getElementById(section).hidden = true;
}
