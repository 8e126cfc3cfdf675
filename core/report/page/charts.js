// --- Which charts there are --------------------------------------------------------------------------------------------------
//
// A row: id, title, about, unit of y, empty (what stands there without values), log (true, false: may be switched; left out: never),
// fromZero, and lines(view) as Chart wants them.

const X_AXES = {
  step: {name: "step", unit: "step"},
  tokens: {name: "tokens", unit: "count"},
  time: {name: "time in steps", unit: "seconds"},
  epoch: {name: "epoch", unit: "plain"},
};

// A line for each run in sight: smoothed over the raw numbers, or over the least and the most of a long run's buckets.
function perRun(key, smoothed) {
  return (view) => view.shown().map((run) => {
    const raw = run.y[key], weight = smoothed ? view.smoothing : 0;
    const line = {name: run.name, color: run.color, dashed: run.dashed, x: run.x[view.x], y: weight > 0 ? smooth(raw, weight) : raw};
    if (smoothed && run.low[key]) line.band = {low: run.low[key], high: run.high[key]};
    else if (weight > 0) line.faint = raw;
    return line;
  });
}

function evalLines(view) {
  return view.shown().map((run) => ({name: run.name, color: run.color, dashed: run.dashed, x: run.evals[view.x], y: run.evals.loss, points: true}));
}

// Several series of the run in detail. A part: {key, name, color, planned: number in the summary}.
function parts(list, smoothed) {
  return (view) => {
    const run = view.detail(), lines = [];
    for (const part of list) {
      const values = run.y[part.key];
      if (!isMoving(values)) continue;
      lines.push({name: part.name, color: part.color, x: run.x[view.x], y: smoothed ? smooth(values, view.smoothing) : values, faint: smoothed ? values : undefined});
      const planned = part.planned ? run.summary[part.planned] : null;
      if (planned !== null) lines.push({name: "plan", color: part.color, level: planned});
    }
    return lines;
  };
}

// The same as areas, one on top of the other; `own` keeps each one's height for the read-out.
function stack(list) {
  return (view) => {
    const run = view.detail(), lines = [];
    let below = new Float64Array(run.n);
    for (const part of list) {
      if (!isMoving(run.y[part.key])) continue;
      const base = below, own = run.y[part.key];
      below = base.map((value, i) => value + (Number.isFinite(own[i]) ? own[i] : 0));
      lines.push({name: part.name, color: part.color, x: run.x[view.x], y: below, stacked: base, own});
    }
    return lines;
  };
}

const CHARTS = [
  {id: "loss", title: "Loss", about: "Mean over the trained tokens of a step.", unit: "plain", log: false, empty: "No finite loss.",
    lines: perRun("loss", true)},
  {id: "eval", title: "Eval loss", about: "Mean over the trained tokens of the evaluation set.", unit: "plain", log: false,
    empty: "No evaluation: give test_datasets or val_set_size.", lines: evalLines},
  {id: "lr", title: "Learning rate", about: "As the schedule set it.", unit: "plain", log: false, empty: "No steps yet.", lines: perRun("lr", false)},
  {id: "grad", title: "Gradient norm", about: "Before clipping.", unit: "plain", log: true, empty: "No finite norm.", lines: perRun("grad_norm", true)},
  {id: "speed", title: "Tokens a second", about: "Tokens of documents; what packing leaves empty is not counted.", unit: "count", log: false, fromZero: true,
    empty: "No steps yet.", lines: perRun("tokens_per_s", true)},
  {id: "stall", title: "Seconds the compute waited, a step", about: "By what it waited for.", unit: "seconds", fromZero: true, detail: true,
    empty: "The compute never waited.", lines: stack([
      {key: "stall_h2d_s", name: "link to the device", color: "host"},
      {key: "stall_nvme_s", name: "drives", color: "nvme"},
      {key: "stall_spill_s", name: "spilled layer inputs", color: "spill"}])},
  {id: "busy", title: "Busy", about: "Share of a step each resource worked.", unit: "share", log: false, fromZero: true, detail: true,
    empty: "This run did not measure it.", lines: parts([
      {key: "compute_busy", name: "compute", color: "hbm"},
      {key: "h2d_busy", name: "host to device", color: "host"},
      {key: "d2h_busy", name: "device to host", color: "spill"},
      {key: "nvme_busy", name: "drives", color: "nvme"}], true)},
  {id: "moved", title: "Bytes moved a step", about: "Dashed: the plan; for drives it counts what is written, too.", unit: "bytes", log: false, fromZero: true, detail: true,
    empty: "Nothing was moved: everything lived on the device.", lines: parts([
      {key: "h2d_bytes", name: "host to device", color: "host", planned: "h2d_planned"},
      {key: "d2h_bytes", name: "device to host", color: "spill", planned: "d2h_planned"},
      {key: "nvme_bytes", name: "from drives", color: "nvme", planned: "nvme_moved_planned"}])},
  {id: "memory", title: "Memory", about: "Held in a step. Dashed: the plan.", unit: "bytes", log: false, fromZero: true, detail: true,
    empty: "This run did not record it.", lines: parts([
      {key: "hbm_bytes", name: "device", color: "hbm", planned: "hbm_planned"},
      {key: "pinned_bytes", name: "pinned host", color: "host", planned: "pinned_planned"}])},
];
