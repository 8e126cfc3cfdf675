// --- One chart ---------------------------------------------------------------------------------------------------------------
//
// A chart draws lines:
//   {name, color, dashed, x, y, band: {low, high}, faint: y, stacked: y of its lower edge, points: bool, level: number}
// x and y are arrays of equal length, NaN is a hole. `faint` is drawn thin behind the line (what it was smoothed from), `band` as an
// area behind it (a long run's least and most), `level` is one number, drawn across. Lines with `stacked` are areas.

const HEIGHT = 230;
const MARGIN = {top: 8, right: 14, bottom: 24};

function niceStep(span, count) {
  const raw = span / count, power = 10 ** Math.floor(Math.log10(raw));
  return power * ([1, 2, 5, 10].find((m) => m * power >= raw * 0.999) || 10);
}

function linearTicks(low, high, count) {
  const step = niceStep(high - low, count), ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(i * step + 0);  // no -0
  return ticks;
}

// Bytes are counted in powers of 1024: round numbers of those.
function byteTicks(low, high, count) {
  const unit = 1024 ** Math.max(0, Math.floor(Math.log(high) / Math.log(1024)));
  return linearTicks(low / unit, high / unit, count).map((tick) => tick * unit);
}

// Powers of ten, with their halves and fifths where there are few.
function logTicks(low, high) {
  const decades = Math.log10(high / low), ticks = [];
  const parts = decades < 2.5 ? [1, 2, 5] : [1], stride = Math.max(1, Math.ceil(decades / 6));
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += stride)
    for (const part of parts) ticks.push(part * 10 ** power);
  const inside = ticks.filter((t) => t >= low * 0.999 && t <= high * 1.001);
  return inside.length > 1 ? inside : linearTicks(low, high, 4).filter((t) => t > 0);
}

// Positions of a scale: {low, high, log} over `from`..`to` pixels.
function position(scale, value) {
  const f = scale.log ? Math.log : (v) => v;
  return scale.from + (scale.to - scale.from) * (f(value) - f(scale.low)) / (f(scale.high) - f(scale.low));
}

function rangeOf(lines, pick, accept) {
  let low = Infinity, high = -Infinity;
  for (const line of lines)
    for (const values of pick(line))
      for (const value of values) {
        if (!accept(value)) continue;
        if (value < low) low = value;
        if (value > high) high = value;
      }
  return [low, high];
}

// Without the hundredth part at both ends, so that one spike does not press all the rest flat: it leaves the picture at the top.
function withoutOutliers(values) {
  const sorted = values.filter(Number.isFinite).sort(), cut = Math.floor(sorted.length / 100);
  return sorted.subarray(cut, sorted.length - cut);
}

class Chart {
  // spec: a row of CHARTS (charts.js); view: what all charts share (main.js).
  constructor(spec, view) {
    this.spec = spec;
    this.view = view;
    this.log = spec.log === true;
    this.readout = make("p", {class: "readout"});
    this.canvas = make("div", {class: "canvas"});
    this.about = make("p");
    const head = make("div", {class: "head"}, make("h3", {}, spec.title), spec.log === undefined ? null : this.makeToggle());
    this.element = make("figure", {id: `chart-${spec.id}`}, make("figcaption", {}, head, this.about), this.readout, this.canvas);
  }

  makeToggle() {
    const toggle = make("button", {type: "button", class: "small", "aria-pressed": String(this.log), title: "logarithmic axis"}, "log");
    toggle.addEventListener("click", () => {
      this.log = !this.log;
      toggle.setAttribute("aria-pressed", String(this.log));
      this.render();
    });
    return toggle;
  }

  render() {
    const lines = this.spec.lines(this.view).filter((line) => line.level !== undefined || hasValues(line.y));
    this.lines = lines;
    this.svg = null;
    this.about.textContent = this.spec.detail && RUNS.length > 1 ? `${this.view.detail().name}. ${this.spec.about}` : this.spec.about;
    const drawn = lines.filter((line) => line.level === undefined);
    this.element.classList.toggle("is-empty", drawn.length === 0);
    if (drawn.length === 0) {
      this.canvas.replaceChildren(make("p", {class: "empty"}, this.reasonForNothing()));
      return;
    }
    this.setScales(drawn);
    this.svg = draw("svg", {width: this.width, height: HEIGHT, tabindex: "0", role: "img", "aria-label": `${this.spec.title} by ${this.view.x}`});
    this.drawAxes();
    for (const line of lines) this.drawLine(line);
    this.cursor = draw("g", {class: "cursor"});
    this.svg.append(this.cursor);
    this.listen();
    const focused = this.canvas.contains(document.activeElement);
    this.canvas.replaceChildren(this.svg);
    if (focused) this.svg.focus();
    this.showCursor();
  }

  reasonForNothing() {
    const {spec, view} = this, runs = spec.detail ? [view.detail()] : view.shown();
    if (runs.length === 0) return "Every run is hidden.";
    return runs.every((run) => run.n === 0) ? "No steps yet." : spec.empty;
  }

  setScales(drawn) {
    const accept = (value) => Number.isFinite(value) && (!this.log || value > 0);
    const [xLow, xHigh] = this.view.zoom || rangeOf(drawn, (line) => [line.x], Number.isFinite);
    const inView = (line, values) => values.filter((_, i) => line.x[i] >= xLow && line.x[i] <= xHigh);
    const arrays = (line) => (line.level !== undefined ? [[line.level]]
      : [inView(line, line.y), ...[line.faint, line.band?.low, line.band?.high].filter(Boolean).map((values) => withoutOutliers(inView(line, values)))]);
    let [low, high] = rangeOf(this.lines, arrays, accept);
    if (!(low <= high)) [low, high] = this.log ? [0.1, 1] : [0, 1];
    if (!this.log && (this.spec.fromZero || low > 0 && low < 0.35 * high)) low = Math.min(0, low);
    if (high - low <= 1e-9 * Math.abs(high)) [low, high] = this.log ? [low / 2, high * 2] : [low - Math.abs(low || 1) / 10, high + Math.abs(high || 1) / 10];
    else if (this.log) high *= (high / low) ** 0.04;
    else high += (high - low) * 0.04;
    this.width = Math.max(240, this.canvas.clientWidth || 480);
    this.yTicks = this.log ? logTicks(low, high) : (this.spec.unit === "bytes" ? byteTicks : linearTicks)(low, high, 4);
    const labels = this.yTicks.map((tick) => text(this.spec.unit, tick));
    const left = 10 + 6.4 * Math.max(3, ...labels.map((label) => label.length));
    this.y = {low, high, log: this.log, from: HEIGHT - MARGIN.bottom, to: MARGIN.top};
    this.x = {low: xLow, high: xHigh > xLow ? xHigh : xLow + 1, log: false, from: left, to: this.width - MARGIN.right};
  }

  drawAxes() {
    const {x, y} = this, unit = X_AXES[this.view.x].unit, edge = 4;  // a line at the edge of the plot keeps its width
    this.svg.append(draw("clipPath", {id: `clip-${this.spec.id}`},
      draw("rect", {x: x.from - edge, y: y.to - edge, width: x.to - x.from + 2 * edge, height: y.from - y.to + 2 * edge})));
    for (const tick of this.yTicks) {
      const at = position(y, tick);
      this.svg.append(draw("path", {class: "grid", d: `M${x.from} ${at}H${x.to}`}),
        draw("text", {x: x.from - 6, y: at + 4, "text-anchor": "end"}, text(this.spec.unit, tick)));
    }
    let taken = -Infinity;
    for (const tick of linearTicks(x.low, x.high, Math.max(2, this.width / 110))) {
      const label = text(unit, tick), half = 3.4 * label.length, at = Math.min(position(x, tick), x.to - half + MARGIN.right - 2);
      if (at - half < taken + 8) continue;
      taken = at + half;
      this.svg.append(draw("text", {x: at, y: HEIGHT - 6, "text-anchor": "middle"}, label));
    }
    this.svg.append(draw("path", {class: "axis", d: `M${x.from} ${y.from}H${x.to}`}));
  }

  // "M..L.." of the points, with a new start after each hole and outside the view. Points of a pixel column are drawn once.
  path(x, y) {
    const out = [], {low, high} = this.x;
    let pen = "M";
    for (let i = 0; i < x.length; i++) {
      const hidden = !Number.isFinite(y[i]) || (this.log && y[i] <= 0) || x[i + 1] < low || x[i - 1] > high;
      if (hidden) {
        pen = "M";
        continue;
      }
      out.push(`${pen}${position(this.x, x[i]).toFixed(1)} ${position(this.y, y[i]).toFixed(1)}`);
      pen = "L";
    }
    return out.join("");
  }

  // The area between two arrays over the same x.
  area(x, upper, lower) {
    const there = [];
    for (let i = 0; i < x.length; i++) if (Number.isFinite(upper[i]) && (!this.log || lower[i] > 0)) there.push(i);
    const point = (values) => (i) => `${position(this.x, x[i]).toFixed(1)} ${position(this.y, values[i]).toFixed(1)}`;
    if (there.length === 0) return "";
    return `M${there.map(point(upper)).join("L")}L${there.reverse().map(point(lower)).join("L")}Z`;
  }

  drawLine(line) {
    const dash = line.dashed ? "6 4" : null, group = draw("g", {class: line.color, "clip-path": `url(#clip-${this.spec.id})`});
    const add = (kind, d) => group.append(draw("path", {class: kind, d, "stroke-dasharray": kind === "line" ? dash : null}));
    if (line.level !== undefined) {
      const at = position(this.y, line.level);
      if (!this.log || line.level > 0) group.append(draw("path", {class: "level", d: `M${this.x.from} ${at}H${this.x.to}`}));
    } else if (line.stacked) {
      add("area", this.area(line.x, line.y, line.stacked));
    } else {
      if (line.band) add("band", this.area(line.x, line.band.high, line.band.low));
      if (line.faint) add("faint", this.path(line.x, line.faint));
      add("line", this.path(line.x, line.y));
      if (line.points || line.x.length === 1) this.drawPoints(line, group);
    }
    this.svg.append(group);
  }

  drawPoints(line, group) {
    for (let i = 0; i < line.x.length; i++)
      if (Number.isFinite(line.y[i])) group.append(draw("circle", {class: "point", cx: position(this.x, line.x[i]), cy: position(this.y, line.y[i]), r: 3}));
  }

  // --- The read-out: every line's value at the cursor, or its last one ---
  showCursor() {
    if (this.svg === null) return;
    const at = this.view.cursor, rows = [];
    this.cursor.replaceChildren();
    let shown = null;
    for (const line of this.lines) {
      const i = line.level !== undefined ? -1 : at === null ? lastFinite(line.y) : this.indexAt(line, at);
      const value = line.level !== undefined ? line.level : (line.own || line.y)[i];
      if (i >= 0 && at !== null) {
        shown = shown ?? line.x[i];
        this.markPoint(line, i);
      }
      rows.push(make("span", {}, swatch(line.level !== undefined ? `${line.color} dashed` : line.color), `${line.name} `, make("b", {}, text(this.spec.unit, value)),
        line.faint && i >= 0 ? make("span", {class: "dim", title: "this step alone"}, ` ${text(this.spec.unit, line.faint[i])}`) : null));
    }
    const axis = X_AXES[this.view.x];
    const where = shown === null ? "last" : `${axis.name} ${text(axis.unit, shown)}`;
    this.readout.replaceChildren(make("span", {class: "where"}, where), ...rows);
    if (shown !== null) this.cursor.prepend(draw("path", {class: "rule", d: `M${position(this.x, shown)} ${MARGIN.top}V${this.y.from}`}));
  }

  // The point nearest to `at`; -1 well before a run's first and after its last one.
  indexAt(line, at) {
    const i = nearest(line.x, at), reach = 0.01 * (this.x.high - this.x.low), last = line.x.length - 1;
    return at < line.x[0] - reach || at > line.x[last] + reach ? -1 : i;
  }

  markPoint(line, i) {
    const inside = line.x[i] >= this.x.low && line.x[i] <= this.x.high && Number.isFinite(line.y[i]) && (!this.log || line.y[i] > 0);
    if (inside) this.cursor.append(draw("circle", {class: `${line.color} point`, cx: position(this.x, line.x[i]), cy: position(this.y, line.y[i]), r: 3.5}));
  }

  valueAt(event) {
    const pixel = event.clientX - this.svg.getBoundingClientRect().left;
    const value = this.x.low + (pixel - this.x.from) / (this.x.to - this.x.from) * (this.x.high - this.x.low);
    return Math.min(this.x.high, Math.max(this.x.low, value));
  }

  listen() {
    let begin = null;
    this.svg.addEventListener("pointermove", (event) => this.view.setCursor(this.valueAt(event)));
    this.svg.addEventListener("pointerleave", () => this.view.setCursor(null));
    this.svg.addEventListener("pointerdown", (event) => (begin = event.pointerType === "mouse" ? this.valueAt(event) : null));
    this.svg.addEventListener("pointerup", (event) => {
      const end = this.valueAt(event), width = this.x.high - this.x.low;
      if (begin !== null && Math.abs(end - begin) > 0.02 * width) this.view.setZoom([Math.min(begin, end), Math.max(begin, end)]);
      begin = null;
    });
    this.svg.addEventListener("dblclick", () => this.view.setZoom(null));
    this.svg.addEventListener("keydown", (event) => this.onKey(event));
    this.svg.addEventListener("focus", () => this.readout.setAttribute("aria-live", "polite"));  // read aloud here alone
    this.svg.addEventListener("blur", () => {
      this.readout.removeAttribute("aria-live");
      this.view.setCursor(null);
    });
  }

  // Arrows walk along the points of the first line.
  onKey(event) {
    const line = this.lines.find((candidate) => candidate.level === undefined), last = line.x.length - 1;
    const here = this.view.cursor === null ? last : nearest(line.x, this.view.cursor), stride = event.shiftKey ? 10 : 1;
    const to = {ArrowLeft: here - stride, ArrowRight: here + stride, Home: 0, End: last}[event.key];
    if (event.key === "Escape") {
      this.view.setCursor(null);
      this.view.setZoom(null);
    } else if (to !== undefined) {
      event.preventDefault();
      this.view.setCursor(line.x[Math.min(last, Math.max(0, to))]);
    }
  }
}

function lastFinite(values) {
  for (let i = values.length - 1; i >= 0; i--) if (Number.isFinite(values[i])) return i;
  return -1;
}
