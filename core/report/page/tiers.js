// --- Where every byte lived: the tiers of a run's plan as boxes on one scale, the links between them, a cell a layer ------------

const TIERS = [
  {key: "HBM", color: "hbm", title: "Device memory", place: "on the device", measured: "hbm_peak", limit: "hbm_limit", held: "held"},
  {key: "host", color: "host", title: "Host memory", place: "in host memory", measured: "pinned_peak", limit: "host_limit", held: "pinned of it"},
  {key: "NVMe", color: "nvme", title: "Drives", place: "on drives", measured: null, limit: "nvme_limit"},
];

// Links stand below the tier they lead up to. `fact` is the beginning of their names in the summary.
const LINKS = {
  HBM: [{fact: "h2d", name: "host to device", up: true}, {fact: "d2h", name: "device to host", up: false}],
  host: [{fact: "nvme", name: "drives to host", up: true, note: " read and written"}],
};

// What the lines of the plan's memory are; a line that is not here is working memory.
const KINDS = [
  {name: "frozen weights", color: "weights", lines: ["pinned layers", "head", "embedding rows", "host layers", "embedding", "base store"]},
  {name: "weights in passing", color: "passing", lines: ["layer slots", "host ring", "compute form"]},
  {name: "adapter and optimizer", color: "adapter", lines: ["adapter", "gradients", "moments"]},
  {name: "activations", color: "activations",
    lines: ["boundaries", "boundary staging", "stream", "kept activations", "recompute block", "spilled boundaries", "spill"]},
  {name: "working memory", color: "working", lines: ["scratch", "workspace", "batch", "staging", "process"]},
  {name: "checkpoints", color: "saved", lines: ["checkpoints"]},
];

function kindOf(line) {
  return KINDS.find((kind) => kind.lines.includes(line)) || KINDS[4];
}

function bytesText(value) {
  return text("bytes", value ?? NaN);
}

// --- A tier ---
function tierFacts(tier, memory, summary) {
  const facts = [`${bytesText(memory.bytes)} planned`];
  if (tier.measured && summary[tier.measured] !== null) facts.push(`${bytesText(summary[tier.measured])} ${tier.held}`);
  if (summary[tier.limit] > 0) facts.push(`${bytesText(summary[tier.limit])} may be used`);
  return facts.join(", ");
}

function tierBox(memory, most) {
  const box = make("div", {class: "box", style: `width: ${(100 * memory.bytes / most).toFixed(3)}%`});
  for (const [line, bytes] of partsOf(memory))
    box.append(make("span", {class: `part ${kindOf(line).color}`, style: `flex: ${bytes} 1 0`, title: `${line}: ${bytesText(bytes)}`}));
  return box;
}

// Its lines, in the order of their kinds.
function partsOf(memory) {
  const order = (line) => KINDS.indexOf(kindOf(line));
  return Object.entries(memory.lines || {}).filter(([, bytes]) => bytes > 0).sort((a, b) => order(a[0]) - order(b[0]));
}

function tierElement(tier, memory, most, summary) {
  const parts = partsOf(memory).map(([line, bytes]) => make("li", {}, swatch(kindOf(line).color), `${line} `, make("b", {}, bytesText(bytes))));
  return make("section", {class: "tier"}, make("h3", {}, tier.title), make("p", {}, tierFacts(tier, memory, summary)), tierBox(memory, most),
    make("ul", {class: "parts"}, ...parts));
}

// --- A link: an arrow as broad as it was busy ---
function arrow(link, busy, color) {
  const broad = 2 + 8 * Math.min(1, busy || 0), tip = broad / 2 + 6;
  const d = link.up ? `M18 40V${4 + tip}` : `M18 4V${40 - tip}`;
  const head = link.up ? `M18 2L${18 + tip} ${4 + tip}H${18 - tip}Z` : `M18 42L${18 + tip} ${40 - tip}H${18 - tip}Z`;
  return draw("svg", {class: `arrow ${color}`, width: 36, height: 44, "aria-hidden": "true"},
    draw("path", {d, "stroke-width": broad, class: "shaft"}), draw("path", {d: head, class: "tip"}));
}

function linkElement(link, summary, color) {
  const fact = (name) => summary[`${link.fact}_${name}`];
  const planned = link.fact === "nvme" ? summary.nvme_moved_planned : fact("planned");
  const moved = fact("moved");
  if (!(moved > 0) && !(planned > 0)) return null;
  const measured = moved === null ? "nothing measured yet"
    : [`${bytesText(moved)} a step`, fact("rate") ? `${rate(fact("rate"))} while busy` : null, `busy ${text("share", fact("busy") ?? NaN)}`].filter(Boolean).join(", ");
  const plan = planned > 0 ? `planned: ${bytesText(planned)} a step${link.note || ""}, ${rate(fact("planned_rate"))}` : "planned: nothing";
  return make("div", {class: "link"}, arrow(link, fact("busy"), color),
    make("p", {}, make("b", {}, link.name), `: ${measured}`, make("br"), make("span", {class: "dim"}, plan)));
}

function linksBelow(tier, summary) {
  const links = (LINKS[tier.key] || []).map((link) => linkElement(link, summary, link.up ? (tier.key === "HBM" ? "host" : "nvme") : "spill"));
  const there = links.filter(Boolean);
  return LINKS[tier.key] ? make("div", {class: "links"}, ...(there.length ? there : [make("p", {class: "dim"}, "nothing moves here")])) : null;
}

// --- Layers ---
function tierOf(name) {
  return TIERS.find((tier) => tier.key === name) || TIERS[0];
}

function layerCell(layer) {
  const what = `layer ${layer.layer}: ${bytesText(layer.bytes)} ${tierOf(layer.home).place}, its input ${tierOf(layer.boundary).place}, `
    + (layer.keep ? "activations kept" : "activations computed again");
  return make("i", {class: `cell ${tierOf(layer.home).color} ${layer.keep ? "" : "again"}`, title: what},
    make("i", {class: `input ${tierOf(layer.boundary).color}`}));
}

function countLayers(layers) {
  const counts = TIERS.map((tier) => [tier, layers.filter((layer) => layer.home === tier.key).length]).filter(([, n]) => n > 0);
  const kept = layers.filter((layer) => layer.keep).length;
  return `${layers.length} layers: ${counts.map(([tier, n]) => `${n} ${tier.place}`).join(", ")}; ${kept} keep their activations`;
}

function layerStrip(layers) {
  const legend = TIERS.map((tier) => make("li", {}, swatch(tier.color), `lives ${tier.place}`));
  return make("section", {class: "layers"}, make("h3", {}, "Layers"), make("p", {}, countLayers(layers)),
    make("div", {class: layers.length > 40 ? "strip dense" : "strip", role: "img", "aria-label": countLayers(layers)}, ...layers.map(layerCell)),
    make("ul", {class: "parts"}, ...legend, make("li", {}, make("i", {class: "swatch foot"}), "foot: where its input waits for the backward pass"),
      make("li", {}, make("i", {class: "swatch again"}), "striped: activations computed again")));
}

function slotsText(plan) {
  const {slots, run} = plan;
  return `${run.gpus} device${run.gpus === 1 ? "" : "s"} of ${plan.machine || "a machine without a name"}. `
    + `${run.sweeps} sweep${run.sweeps === 1 ? "" : "s"} a step, ${run.micro_batches_per_sweep} micro-batch${run.micro_batches_per_sweep === 1 ? "" : "es"} of `
    + `${run.micro_batch_size} x ${run.sequence_len} tokens each; ${slots.device} layer slots on the device and ${slots.host} in host memory of `
    + `${bytesText(slots.bytes)}. The plan is bound by ${plan.binding}.`;
}

function drawTiers(run) {
  const container = document.getElementById("tiers"), plan = run.plan;
  const missing = plan ? ["memory", "slots", "run"].find((part) => !plan[part]) : "all";
  if (missing) {
    container.replaceChildren(make("p", {class: "empty"}, plan ? `The plan.json of ${run.name} has no ${missing}.` : `${run.name} has no plan.json.`));
    return;
  }
  const tiers = TIERS.filter((tier) => plan.memory[tier.key]), most = Math.max(1, ...tiers.map((tier) => plan.memory[tier.key].bytes));
  const boxes = tiers.flatMap((tier) => [tierElement(tier, plan.memory[tier.key], most, run.summary), linksBelow(tier, run.summary)]).filter(Boolean);
  const kinds = make("ul", {class: "parts kinds"}, ...KINDS.map((kind) => make("li", {}, swatch(kind.color), kind.name)));
  container.replaceChildren(make("p", {}, RUNS.length > 1 ? `${run.name}: ` : "", slotsText(plan), " The boxes are to one scale."), kinds, ...boxes,
    plan.layers ? layerStrip(plan.layers) : "");
}
