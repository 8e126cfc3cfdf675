// --- What the charts show: legend, x axis, smoothing, the run in detail -------------------------------------------------------

function legendButton(run, view) {
  const button = make("button", {type: "button", class: "run", "aria-pressed": "true", title: "show or hide this run"}, swatch(run.color), run.name);
  button.addEventListener("click", () => {
    if (view.hidden.has(run.index)) view.hidden.delete(run.index);
    else view.hidden.add(run.index);
    button.setAttribute("aria-pressed", String(!view.hidden.has(run.index)));
    view.render();
  });
  return button;
}

function axisChoice(view) {
  const select = make("select", {onchange: () => view.setX(select.value)},
    ...Object.entries(X_AXES).map(([key, axis]) => make("option", {value: key}, axis.name)));
  return make("label", {}, "x axis ", select);
}

function smoothingChoice(view) {
  const value = make("output", {}, view.smoothing.toFixed(2));
  const slider = make("input", {type: "range", min: 0, max: 0.99, step: 0.01, value: view.smoothing, oninput: () => {
    view.smoothing = Number(slider.value);
    value.textContent = view.smoothing.toFixed(2);
    view.render();
  }});
  return make("label", {title: "weight of the past in the moving average"}, "smoothing ", slider, value);
}

function detailChoice(view) {
  const select = make("select", {onchange: () => view.setDetail(Number(select.value))},
    ...RUNS.map((run) => make("option", {value: run.index}, run.name)));
  return make("label", {title: "the run whose waiting, bytes and tiers are drawn"}, "in detail ", select);
}

function makeControls(view) {
  const several = RUNS.length > 1;
  view.resetZoom = make("button", {type: "button", class: "small", hidden: true, onclick: () => view.setZoom(null)}, "show all");
  document.getElementById("controls").append(
    ...(several ? [make("div", {class: "legend", role: "group", "aria-label": "Runs shown"}, ...RUNS.map((run) => legendButton(run, view)))] : []),
    axisChoice(view), smoothingChoice(view), ...(several ? [detailChoice(view)] : []), view.resetZoom);
}
