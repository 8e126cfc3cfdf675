// --- The runs as arrays ------------------------------------------------------------------------------------------------------

const DATA = JSON.parse(document.getElementById("data").textContent);

// A series that never changes is one number in the data: every array gets its length back. null becomes NaN.
function expand(table, n) {
  const out = {};
  for (const [key, values] of Object.entries(table)) {
    out[key] = Array.isArray(values) ? Float64Array.from(values, (v) => (v === null ? NaN : v)) : new Float64Array(n).fill(values);
  }
  return out;
}

const RUNS = DATA.runs.map((run, index) => {
  const {n, bucket, x, y, low, high} = run.series;
  return {
    index,
    color: `run${index % 8}`,
    dashed: index >= 8,
    name: run.summary.name,
    summary: run.summary,
    plan: run.plan,
    n,
    bucket,
    x: expand(x, n),
    y: expand(y, n),
    low: expand(low, n),
    high: expand(high, n),
    evals: expand(run.evals, run.evals.step.length),
  };
});

// Exponential moving average, corrected for its start; a hole stays a hole and is not averaged.
function smooth(values, weight) {
  const out = new Float64Array(values.length);
  let sum = 0, total = 0;
  for (let i = 0; i < values.length; i++) {
    if (Number.isFinite(values[i])) {
      sum = weight * sum + (1 - weight) * values[i];
      total = weight * total + (1 - weight);
      out[i] = sum / total;
    } else {
      out[i] = NaN;
    }
  }
  return out;
}

// Index of the x nearest to `at`; x ascends. -1 for none.
function nearest(x, at) {
  let low = 0, high = x.length - 1;
  if (high < 0) return -1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x[middle] < at) low = middle + 1;
    else high = middle;
  }
  return low > 0 && at - x[low - 1] < x[low] - at ? low - 1 : low;
}

function hasValues(values) {
  return values !== undefined && values.some((v) => Number.isFinite(v));
}

function isMoving(values) {
  return values !== undefined && values.some((v) => Number.isFinite(v) && v !== 0);
}
