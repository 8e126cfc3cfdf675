// --- Numbers as text ---------------------------------------------------------------------------------------------------------

// 1234567 -> "1.23 M"; with a few digits.
function withPrefix(value, units, base, digits) {
  let i = 0;
  for (; i < units.length - 1 && Math.abs(value) >= base; i++) value /= base;
  return trim(value, digits) + (units[i] ? " " + units[i] : "");
}

// At most `digits` significant ones, without zeros at the end.
function trim(value, digits) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e15 || size < 1e-4) return value.toExponential(Math.min(digits, 3) - 1).replace(/\.?0+e/, "e");
  if (size >= 10 ** digits) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toPrecision(digits)));
}

function duration(seconds) {
  if (seconds !== 0 && Math.abs(seconds) < 1) return trim(1000 * seconds, 3) + " ms";
  if (seconds < 120) return trim(seconds, 3) + " s";
  if (seconds < 7200) return trim(seconds / 60, 3) + " min";
  return trim(seconds / 3600, 3) + " h";
}

// How a number of each unit is written: on axes and in read-outs.
const FORMAT = {
  plain: (value) => trim(value, 4),
  count: (value) => withPrefix(value, ["", "k", "M", "G", "T"], 1000, 4),
  step: (value) => (Math.round(value) + 0).toLocaleString("en-US"),
  seconds: duration,
  bytes: (value) => withPrefix(value, ["B", "KiB", "MiB", "GiB", "TiB"], 1024, 4),
  share: (value) => trim(100 * value, 3) + " %",
};

function text(unit, value) {
  return Number.isFinite(value) ? FORMAT[unit](value) : "none";
}

function rate(bytesPerSecond) {
  return Number.isFinite(bytesPerSecond) ? `${trim(bytesPerSecond / 1e9, 3)} GB/s` : "";
}

// --- Elements ----------------------------------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";

// make("p", {class: "dim"}, "text", child): attributes and children, text always as text.
function make(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function draw(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function swatch(color) {
  return make("i", {class: `swatch ${color}`, "aria-hidden": "true"});
}
