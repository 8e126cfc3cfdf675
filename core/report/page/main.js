// --- The page ----------------------------------------------------------------------------------------------------------------

// What all charts share. A change of it draws them again; a move of the cursor only what follows it.
const view = {
  x: "step",
  smoothing: RUNS.some((run) => run.n > 300) ? 0.9 : 0.6,
  hidden: new Set(),
  detailed: 0,
  zoom: null,     // [low, high] of x, null = everything
  cursor: null,   // x under the pointer
  charts: [],

  shown: () => RUNS.filter((run) => !view.hidden.has(run.index)),
  detail: () => RUNS[view.detailed],
  render: () => view.charts.forEach((chart) => chart.render()),
  setX(x) {
    view.x = x;
    view.cursor = null;
    view.setZoom(null);
  },
  setZoom(range) {
    view.zoom = range;
    view.resetZoom.hidden = range === null;
    view.render();
  },
  setCursor(at) {
    view.cursor = at;
    view.charts.forEach((chart) => chart.showCursor());
  },
  setDetail(index) {
    view.detailed = index;
    view.render();
    drawTiers(view.detail());
  },
};

function start() {
  document.documentElement.classList.remove("no-js");
  drawTiers(view.detail());
  document.documentElement.dataset.ready = "true";
  if (RUNS.every((run) => run.n === 0 && run.evals.step.length === 0)) {
    document.getElementById("charts").replaceChildren(make("p", {class: "empty"}, "No steps yet."));
    document.getElementById("controls").hidden = true;
    return;
  }
  makeControls(view);
  view.charts = CHARTS.map((spec) => new Chart(spec, view));
  document.getElementById("charts").replaceChildren(...view.charts.map((chart) => chart.element));
  view.render();
  let width = 0;
  new ResizeObserver(([entry]) => {
    if (Math.abs(entry.contentRect.width - width) < 1) return;
    width = entry.contentRect.width;
    view.render();
  }).observe(document.getElementById("charts"));
}

start();
