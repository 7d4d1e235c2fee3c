// The status page. It asks its own node once a second and draws what that says; everything from the node is put in as
// text. Times are those of this browser: nodes tell ages, not times of day.
"use strict";

const kEveryMs = 1000, kPatienceMs = 4000, kKeptMs = 600e3, kCells = 32, kEventsShown = 60;
const kSvg = "http://www.w3.org/2000/svg";

const kTerms = {
  log:
    "The log is the list of all changes, in order. Each node keeps a copy on its disk, and all copies become " +
    "equal. The squares are its newest entries.",
  term:
    "A term is Raft's unit of time: a number that rises with each election. A term has one leader at most, so " +
    "an order from an earlier term can be told from a current one.",
  last:
    "The last index is the number of the newest entry in this node's log, whether it is committed or not.",
  commit:
    "The commit index: entries up to here are on the disks of a majority of the voters. They are never lost, " +
    "and only they are shown to clients.",
  applied:
    "The applied index: entries up to here have been carried out on this node's copy of the namespace.",
  lag:
    "Lag is how many entries this node still has to get to where the leader is. A small one that comes and " +
    "goes is normal; one that grows means a slow disk or network.",
  role:
    "The leader orders all changes; followers copy its log and vote. Who hears nothing from a leader for an " +
    "election timeout becomes a candidate and asks for votes.",
  learner:
    "A learner gets everything a voter gets, but has no vote: it counts for no majority. New nodes begin as " +
    "learners, until they have caught up.",
  voters:
    "Voters elect the leader and acknowledge changes. More than half of them, a majority, must be up: two of " +
    "three, three of five.",
  election:
    "When followers hear nothing from a leader, one of them stands for election. Who gets the votes of a " +
    "majority leads in the new term. A colour is a node that leads; a ring, one that stands for election; " +
    "red, one that is away.",
  throughput:
    "Requests of clients to the namespace that a node took in, each second. The leader takes all changes.",
  latency:
    "How long a change (mkdir, rename, the end of a write) took, from its arrival at the leader until it was " +
    "on the disks of a majority and applied. Half of them were faster than p50, all but one in a hundred " +
    "faster than p99.",
  fsync:
    "fsync tells the disk to put everything it was given where a power cut cannot take it. No change is " +
    "acknowledged before that, so a slow fsync makes all changes slow.",
  p99:
    "p99: 99 of 100 were faster than this. It shows the rare slow ones, which an average hides.",
  traffic:
    "Bytes that a node sent to other nodes and to clients, each second: log entries, chunks of files, " +
    "heartbeats.",
  chunk:
    "File content is stored in chunks of up to 8 MiB, each on several nodes. They never change: an " +
    "overwritten file gets new chunks.",
  repair:
    "Each node compares what it holds with what it should hold, and fetches missing or damaged chunks from " +
    "the other nodes. Chunks that no file uses are collected.",
  stop:
    "Yes, when without the node a majority of the voters is up and caught up, and no chunk loses its only " +
    "healthy copy, as far as the nodes know. Programs ask /health?maintenance on the node.",
  snapshot:
    "A snapshot is the whole state at one index, in one file. What it holds may leave the log.",
};

const byId = (id) => document.getElementById(id);

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function draw(tag, attributes, text) {
  const element = document.createElementNS(kSvg, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// Touches the document only where something changed, so that a reader's place and focus stay.
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function termButton(name, text) {
  const button = make("button", "term", text);
  button.type = "button";
  button.dataset.term = name;
  return button;
}

// --- Numbers -------------------------------------------------------------------------------------------------------

const whole = new Intl.NumberFormat("en");

function shortNumber(value) {
  if (value < 10000) return whole.format(Math.round(value));
  return value < 1e6 ? `${trim(value / 1e3)}k` : `${trim(value / 1e6)}M`;
}

const trim = (value) => String(Number(value.toPrecision(3)));

function bytes(value) {
  for (const unit of ["B", "KiB", "MiB", "GiB", "TiB"]) {
    if (value < 1024 || unit === "TiB") return `${trim(value)} ${unit}`;
    value /= 1024;
  }
  return "";
}

function micros(value) {
  if (value < 1000) return `${Math.round(value)} µs`;
  return value < 1e6 ? `${trim(value / 1e3)} ms` : `${trim(value / 1e6)} s`;
}

function duration(seconds) {
  seconds = Math.max(0, Math.round(seconds));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
  return `${Math.floor(seconds / 86400)} days`;
}

function listed(names) {
  if (names.length < 2) return names.join("");
  return `${names.slice(0, -1).join(", ")} and ${names[names.length - 1]}`;
}

// --- What is known -------------------------------------------------------------------------------------------------

const known = {
  self: "", status: null, events: new Map(), samples: new Map(), heardAt: 0, problem: "", shownMs: 60e3,
  chosen: false,
};

function samplesOf(id) {
  if (!known.samples.has(id)) known.samples.set(id, { rows: [], lastNumber: 0, bornAt: 0 });
  return known.samples.get(id);
}

// Only what is new is added: the node answers with the last seconds each time.
function learnHistory(history, now) {
  for (const node of history.nodes) {
    const kept = samplesOf(node.id);
    const bornAt = now - node.uptime_ms;
    if (node.up && Math.abs(bornAt - kept.bornAt) > 5000) Object.assign(kept, { bornAt, lastNumber: 0 });
    for (const values of node.samples) {
      const row = {};
      history.columns.forEach((name, i) => { row[name] = values[i]; });
      if (row.number <= kept.lastNumber) continue;
      kept.lastNumber = row.number;
      row.at = now - row.age_ms;
      kept.rows.push(row);
    }
    while (kept.rows.length && kept.rows[0].at < now - kKeptMs) kept.rows.shift();
  }
}

// A node that is down tells no events: those it told before stay.
function learnEvents(events, status, now) {
  for (const node of status.nodes) if (node.up) known.events.set(node.id, []);
  for (const event of events) {
    event.at = now - event.age_ms;
    if (!known.events.has(event.node)) known.events.set(event.node, []);
    known.events.get(event.node).push(event);
  }
}

function learn(overview) {
  const now = Date.now();
  known.self = overview.self;
  known.status = overview.status;
  learnHistory(overview.history, now);
  learnEvents(overview.events, overview.status, now);
  known.heardAt = now;
  known.problem = "";
}

const nodeIds = () => (known.status ? known.status.nodes.map((node) => node.id) : []);
const inkOf = (id) => `ink-${Math.max(0, nodeIds().indexOf(id)) % 7}`;

// --- The headline --------------------------------------------------------------------------------------------------

function headline() {
  if (!known.status) {
    if (!known.problem) return ["wait", "Asking the node", "The first answer comes in a moment."];
    return ["bad", "This page does not reach its node", `${known.problem} It keeps trying.`];
  }
  if (known.problem) {
    const seconds = Math.round((Date.now() - known.heardAt) / 1000);
    return ["bad", `This page has lost ${known.self}`,
      `${known.problem} What is shown here is ${duration(seconds)} old. It keeps trying; the page of another node ` +
      "shows how the cluster is."];
  }
  const { nodes, leader, term, serves } = known.status;
  const own = nodes.find((node) => node.id === known.self);
  const down = nodes.filter((node) => !node.up).map((node) => node.id);
  if (!leader) {
    const why = own && own.detail ? `${known.self}: ${own.detail}.` :
      "Nothing can be written or read until a majority of the voters reach each other and elect one.";
    return ["bad", "The cluster has no leader",
      `${why}${down.length ? ` ${listed(down)} ${down.length > 1 ? "do" : "does"} not answer.` : ""}`];
  }
  const leads = `${leader} leads in term ${term}`;
  if (!serves.yes) return ["bad", "The cluster cannot commit", `${leads}, but ${serves.why}.`];
  if (down.length) {
    return ["warn", `The cluster serves, without ${listed(down)}`,
      `${leads}; ${nodes.length - down.length} of ${nodes.length} nodes are up.`];
  }
  const ill = nodes.filter((node) => node.disk_full || node.disk_slow).map((node) => node.id);
  if (ill.length) return ["warn", `The cluster serves; the disk of ${listed(ill)} does not`, `${leads}.`];
  return ["good", "The cluster serves", nodes.length === 1 ? `${leads}; it is the only node.` :
    `${leads}; all ${nodes.length} nodes are up.`];
}

function showHeadline() {
  const [state, title, text] = headline();
  byId("headline").dataset.state = state;
  say(byId("headline-title"), title);
  say(byId("headline-text"), text);
  document.body.classList.toggle("stale", known.problem !== "");
  document.title = state === "good" || state === "wait" ? "Sandstore" : `${title} · Sandstore`;
}

// --- Nodes and their logs ------------------------------------------------------------------------------------------

function makeNodeRow(node) {
  const row = make("li", "node");
  row.dataset.node = node.id;
  const who = make("div", "who"), name = make("div", "name");
  name.append(make("i", "swatch"), make("span", "id", node.id), make("button", "term chip"));
  name.lastChild.type = "button";
  who.append(name, make("div", "where"), make("div", "remark"));
  const cells = make("div", "cells");
  cells.setAttribute("aria-hidden", "true");
  for (let i = 0; i < kCells; i++) cells.append(make("i", "cell none"));
  const indexes = make("dl", "indexes");
  for (const [key, text] of [["term", "term"], ["commit", "committed"], ["applied", "applied"], ["lag", "lag"]]) {
    const title = make("dt");
    title.append(termButton(key, text));
    indexes.append(title, make("dd", `value-${key}`));
  }
  row.append(who, cells, indexes);
  return row;
}

// The squares of all nodes stand for the same entries. How many that are follows from how far the nodes are apart.
function logScale(nodes) {
  const up = nodes.filter((node) => node.up);
  if (!up.length) return null;
  const high = Math.max(...up.map((node) => node.last_index));
  const low = Math.min(...up.map((node) => Math.min(node.applied_index, node.last_index)));
  let step = 1;
  while ((high - low) / step > kCells - 6) step *= 10;
  const last = Math.max(Math.floor(high / step), kCells - 3);
  return { step, first: Math.max(1, (last - kCells + 3) * step) };
}

function cellState(node, begin, end) {
  if (!node.up) return "unknown";
  if (begin > node.last_index) return "none";
  if (end < node.first_index && end <= node.snapshot_index) return "snapshot";
  if (Math.min(end, node.last_index) <= node.applied_index) return "applied";
  if (Math.min(end, node.last_index) <= node.commit_index) return "committed";
  return "appended";
}

function remarkOf(node) {
  const remarks = [];
  if (node.detail) remarks.push(node.detail);
  if (node.up && node.not_ready && node.not_ready !== node.detail) remarks.push(`not ready: ${node.not_ready}`);
  if (node.repair_problem) remarks.push(node.repair_problem);
  if (node.transferring_to) remarks.push(`hands leadership over to ${node.transferring_to}`);
  if (node.figures && node.figures.etcd === "lost") remarks.push("etcd does not answer; the last member list is used");
  return remarks.join("; ");
}

function showNode(row, node, scale) {
  row.className = `node ${inkOf(node.id)}${node.up ? "" : " is-down"}`;
  const role = node.up ? node.role : "down";
  const chip = row.querySelector(".chip");
  chip.className = `term chip ${role}`;
  chip.dataset.term = role === "learner" ? "learner" : "role";
  say(chip, role);
  const place = node.zone ? `${node.address} · zone ${node.zone}` : node.address;
  say(row.querySelector(".where"), node.up ? `${place} · up ${duration(node.uptime_seconds)}` : place);
  say(row.querySelector(".remark"), remarkOf(node));
  row.querySelectorAll(".cell").forEach((cell, i) => {
    const begin = scale ? scale.first + i * scale.step : 0;
    const state = scale ? cellState(node, begin, begin + scale.step - 1) : "unknown";
    if (cell.dataset.state !== state) {
      cell.dataset.state = state;
      cell.className = `cell ${state}`;
    }
  });
  const values = { term: node.term, commit: node.commit_index, applied: node.applied_index, lag: node.lag };
  for (const [key, value] of Object.entries(values)) {
    const cell = row.querySelector(`.value-${key}`);
    say(cell, node.up && value !== null ? whole.format(value) : "–");
    cell.classList.toggle("behind", key === "lag" && value > 1000);
  }
}

function showNodes() {
  const { nodes } = known.status;
  const list = byId("node-list");
  const ids = nodes.map((node) => node.id);
  for (const row of [...list.children]) if (!ids.includes(row.dataset.node)) row.remove();
  const scale = logScale(nodes);
  nodes.forEach((node, i) => {
    let row = [...list.children].find((one) => one.dataset.node === node.id);
    if (!row) {
      row = makeNodeRow(node);
      list.insertBefore(row, list.children[i] || null);
    }
    showNode(row, node, scale);
  });
  if (!scale) return say(byId("axis"), "No node tells what is in its log.");
  const end = scale.first + kCells * scale.step - 1;
  say(byId("axis"), `from index ${whole.format(scale.first)} to ${whole.format(end)}; a square is ` +
    (scale.step === 1 ? "one entry" : `${whole.format(scale.step)} entries`));
}

// --- Curves --------------------------------------------------------------------------------------------------------

function niceTop(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 6, 8, 10].map((digit) => digit * power).find((top) => top >= value * 0.999);
}

// Of byte counts the steps are powers of two.
function niceBytes(value) {
  return value <= 1024 ? 1024 : 2 ** Math.ceil(Math.log2(value));
}

function timeLabel(ms) {
  return ms === 0 ? "now" : ms % 60e3 === 0 ? `−${ms / 60e3} min` : `−${ms / 1e3} s`;
}

class Chart {
  constructor(id, label, format, niceLimit, series) {
    Object.assign(this, { label, format, niceLimit, series, cursorAt: null });
    this.root = byId(id);
    this.svg = draw("svg", { height: 172, role: "img", tabindex: 0 });
    this.keys = make("div", "keys");
    this.root.append(this.svg, this.keys);
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.setCursor(null));
    this.svg.addEventListener("blur", () => this.setCursor(null));
    this.svg.addEventListener("keydown", (event) => this.key(event));
  }

  point(event) {
    const box = this.svg.getBoundingClientRect();
    const share = (event.clientX - box.left - this.left) / (this.right - this.left);
    this.setCursor((1 - Math.min(1, Math.max(0, share))) * known.shownMs);
  }

  key(event) {
    const step = { ArrowLeft: 1, ArrowRight: -1 }[event.key];
    if (event.key === "Escape") this.setCursor(null);
    if (!step) return;
    event.preventDefault();
    const from = this.cursorAt === null ? 0 : this.cursorAt;
    this.setCursor(Math.min(known.shownMs, Math.max(0, from + step * known.shownMs / 60)));
  }

  setCursor(ageMs) {
    this.cursorAt = ageMs;
    this.show();
  }

  show() {
    const width = Math.max(220, this.root.clientWidth), height = 172;
    Object.assign(this, { left: 50, right: width - 8 });
    const top = 8, bottom = height - 20;
    const now = known.heardAt, begin = now - known.shownMs;
    const lines = this.series();
    const seen = lines.flatMap((line) => line.points.filter(([at]) => at >= begin).map(([, value]) => value));
    const limit = this.niceLimit(Math.max(0, ...seen));
    const x = (at) => this.left + (at - begin) / known.shownMs * (this.right - this.left);
    const y = (value) => bottom - value / limit * (bottom - top);
    const parts = [];
    for (const share of [0, 0.5, 1]) {
      const level = y(share * limit);
      parts.push(draw("line", { class: "grid", x1: this.left, x2: this.right, y1: level, y2: level }),
        draw("text", { x: this.left - 7, y: level + 4, "text-anchor": "end" }, this.format(share * limit)));
    }
    parts.push(...timeAxis(this.left, this.right, height - 5));
    for (const line of lines) {
      parts.push(draw("path", { class: `curve ${line.ink} ${line.style || ""}`, d: pathOf(line.points, begin, x, y) }));
    }
    const cursorTime = this.cursorAt === null ? null : now - this.cursorAt;
    if (cursorTime !== null) {
      parts.push(draw("line", { class: "cursor", x1: x(cursorTime), x2: x(cursorTime), y1: top, y2: bottom }));
      for (const line of lines) {
        const point = nearest(line.points, cursorTime);
        if (point) parts.push(draw("circle", { class: `dot ${line.ink}`, cx: x(point[0]), cy: y(point[1]), r: 3.5 }));
      }
    }
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.replaceChildren(...parts);
    this.showKeys(lines, cursorTime);
  }

  showKeys(lines, cursorTime) {
    const at = cursorTime === null ? known.heardAt : cursorTime;
    const told = [];
    this.keys.replaceChildren(...lines.map((line) => {
      const point = nearest(line.points, at);
      const key = make("span", line.ink), value = point ? this.format(point[1]) : "–";
      key.append(make("i"), document.createTextNode(`${line.name} `), make("b", "", value));
      told.push(`${line.name} ${value}`);
      return key;
    }));
    if (cursorTime !== null) {
      this.keys.append(make("span", "at", `${duration((known.heardAt - cursorTime) / 1000)} ago`));
    }
    this.svg.setAttribute("aria-label", `${this.label}: ${told.join(", ")}`);
  }
}

// Nothing is drawn across seconds of which nothing is known.
function pathOf(points, begin, x, y) {
  let path = "", before = 0;
  for (const [at, value] of points) {
    if (at < begin - 2000) continue;
    const place = `${Math.max(x(begin), x(at)).toFixed(1)} ${y(value).toFixed(1)}`;
    path += at - before > 3500 ? `M${place}l0 0` : `L${place}`;  // A point that stays alone is drawn as a dot.
    before = at;
  }
  return path;
}

function nearest(points, at) {
  let best = null;
  for (const point of points) if (!best || Math.abs(point[0] - at) < Math.abs(best[0] - at)) best = point;
  return best && Math.abs(best[0] - at) < 3500 ? best : null;
}

function timeAxis(left, right, y) {
  const parts = known.shownMs === 60e3 ? 4 : 5;
  return Array.from({ length: parts + 1 }, (_, i) => draw("text", {
    x: right - i / parts * (right - left), y, "text-anchor": i === 0 ? "end" : i === parts ? "start" : "middle",
  }, timeLabel(i / parts * known.shownMs)));
}

function lineOfEach(column) {
  return () => nodeIds().map((id) => ({
    name: id, ink: inkOf(id), points: samplesOf(id).rows.map((row) => [row.at, row[column]]),
  }));
}

// In a second in which nothing was synced there is nothing to draw.
function syncLines() {
  return nodeIds().map((id) => ({
    name: id, ink: inkOf(id),
    points: samplesOf(id).rows.filter((row) => row.syncs_per_second > 0).map((row) => [row.at, row.sync_p99_us]),
  }));
}

// Changes are timed where they arrive: on the leader. In seconds without one there is nothing to draw.
function latencyLines() {
  const of = (column) => nodeIds().flatMap((id) => samplesOf(id).rows.filter((row) => row.mutations_per_second > 0)
    .map((row) => [row.at, row[column]])).sort((one, other) => one[0] - other[0]);
  return [{ name: "p50", ink: "ink-s", points: of("mutation_p50_us") },
    { name: "p99", ink: "ink-a", points: of("mutation_p99_us") }];
}

const charts = {};

function makeCharts() {
  charts.throughput = new Chart("throughput", "Requests a second", shortNumber, (value) => niceTop(Math.max(value, 10)),
    lineOfEach("requests_per_second"));
  charts.latency = new Chart("latency", "Latency of changes", micros, (value) => niceTop(Math.max(value, 1000)),
    latencyLines);
  charts.fsync = new Chart("fsync", "fsync of the log, p99", micros, (value) => niceTop(Math.max(value, 1000)),
    syncLines);
  charts.traffic = new Chart("traffic", "Bytes sent a second", bytes, niceBytes, lineOfEach("sent_bytes_per_second"));
}

function showFigure(id, value, words) {
  const place = byId(id);
  place.replaceChildren(make("b", "", value), document.createTextNode(` ${words}`));
}

function showFigures() {
  const up = known.status.nodes.filter((node) => node.up && node.figures);
  const sum = (name) => up.reduce((total, node) => total + node.figures[name], 0);
  const most = (name) => up.reduce((top, node) => Math.max(top, node.figures[name]), 0);
  showFigure("throughput-now", shortNumber(sum("requests_per_second")), "requests/s");
  showFigure("latency-now", most("mutation_p50_us") ? micros(most("mutation_p50_us")) : "–", "median now");
  showFigure("fsync-now", most("sync_p50_us") ? micros(most("sync_p50_us")) : "–", "slowest median now");
  showFigure("traffic-now", `${bytes(sum("sent_bytes_per_second"))}/s`, "in all");
}

// --- Elections -----------------------------------------------------------------------------------------------------

// Runs of seconds in which a node had one role in one term; more than three seconds of silence are a run of their own.
function reigns(rows, now, up) {
  const runs = [];
  for (const row of rows) {
    const last = runs[runs.length - 1];
    const role = row.role === "leader" ? "reign" : row.role === "follower" ? "alive" : "standing";
    if (last && row.at - last.end < 3500 && last.role === role && (role !== "reign" || last.term === row.term)) {
      last.end = row.at;
    } else if (last && row.at - last.end >= 3500) {
      runs.push({ role: "gone", begin: last.end, end: row.at - 1000 });
      runs.push({ role, term: row.term, begin: row.at - 1000, end: row.at });
    } else {
      runs.push({ role, term: row.term, begin: last ? last.end : row.at - 1000, end: row.at });
    }
  }
  const last = runs[runs.length - 1];
  if (last && !up) runs.push({ role: "gone", begin: last.end, end: now });
  if (last && up && now - last.end < 3500) last.end = now;
  return runs;
}

function showElections() {
  const root = byId("elections"), ids = nodeIds();
  const width = Math.max(220, root.clientWidth), laneHeight = 26, bottom = ids.length * laneHeight + 22;
  const now = known.heardAt, begin = now - known.shownMs;
  const left = Math.min(120, 14 + 8 * Math.max(4, ...ids.map((id) => id.length))), right = width - 8;
  const x = (at) => left + Math.min(1, Math.max(0, (at - begin) / known.shownMs)) * (right - left);
  const parts = [];
  let changes = 0;
  ids.forEach((id, i) => {
    const y = i * laneHeight + 3;
    const node = known.status.nodes[i];
    parts.push(draw("text", { class: "lane-name", x: 0, y: y + 14 }, id.length > 13 ? `${id.slice(0, 12)}…` : id),
      draw("rect", { class: "lane", x: left, y, width: right - left, height: laneHeight - 6, rx: 4 }));
    for (const run of reigns(samplesOf(id).rows, now, node.up)) {
      if (run.end < begin) continue;
      const from = x(run.begin), length = Math.max(1.5, x(run.end) - from), tall = run.role === "reign";
      parts.push(draw("rect", { class: `${run.role} ${inkOf(id)}`, x: from, y: tall ? y : y + 7, width: length,
        height: tall ? laneHeight - 6 : laneHeight - 20, rx: tall ? 4 : 2 }));
      if (tall && length > 58) {
        parts.push(draw("text", { class: "inside", x: from + 7, y: y + 14 }, `term ${run.term}`));
      }
    }
    for (const event of known.events.get(id) || []) {
      if (event.at < begin) continue;
      if (event.kind === "leads") changes++;
      if (event.kind === "stands") parts.push(draw("circle", { class: "vote", cx: x(event.at), cy: y + 10, r: 4 }));
    }
  });
  parts.push(...timeAxis(left, right, bottom - 4));
  let svg = root.querySelector("svg");
  if (!svg) {
    svg = draw("svg", { role: "img" });
    root.append(svg);
  }
  svg.setAttribute("viewBox", `0 0 ${width} ${bottom}`);
  svg.setAttribute("height", bottom);
  const won = changes === 1 ? "One election was" : `${changes} elections were`;
  svg.setAttribute("aria-label", `${won} won in the last ` +
    `${duration(known.shownMs / 1000)}; ${known.status.leader || "nobody"} leads now.`);
  svg.replaceChildren(...parts);
}

// --- Members, chunks, events ---------------------------------------------------------------------------------------

function showMembers() {
  const { configuration, nodes } = known.status;
  const list = byId("members");
  const rows = [];
  const add = (term, text, names) => {
    const title = make("dt");
    title.append(termButton(term, text));
    rows.push(title, make("dd", "", names));
  };
  if (configuration) {
    add("voters", "Voters", listed(configuration.voters));
    if (configuration.learners.length) add("learner", "Learners", listed(configuration.learners));
    if (configuration.joint) add("voters", "Before the change under way", listed(configuration.old_voters));
    const able = configuration.voters.filter((id) => nodes.some((node) => node.id === id && node.up)).length;
    const needed = Math.floor(configuration.voters.length / 2) + 1;
    showFigure("quorum", `${able} of ${configuration.voters.length}`, `voters up, ${needed} needed`);
  } else {
    add("voters", "Voters", "not known: no node that answers knows them");
    byId("quorum").replaceChildren();
  }
  keepFocus(list, () => list.replaceChildren(...rows));
  byId("verdicts").replaceChildren(...nodes.map((node) => {
    const kind = !node.up ? "moot" : node.may_be_stopped.yes ? "yes" : "no";
    const line = make("li", kind);
    line.append(make("b", "", { yes: "✓", no: "✗", moot: "–" }[kind]), make("span", "", sentenceOf(node, kind)));
    return line;
  }));
}

function sentenceOf(node, kind) {
  if (kind === "moot") return `${node.id}: is down`;
  const why = node.may_be_stopped.why.replace(/`/g, "");
  return kind === "yes" ? why : `${node.id}: no, ${why}`;
}

// What is made anew each second must not take the focus away from who is on it.
function keepFocus(root, change) {
  const term = root.contains(document.activeElement) ? document.activeElement.dataset.term : null;
  change();
  if (term) root.querySelector(`[data-term="${term}"]`)?.focus();
}

const chunkCount = (count) => (count === 1 ? "1 chunk" : `${shortNumber(count)} chunks`);

function showStores() {
  byId("stores").replaceChildren(...known.status.nodes.map((node) => {
    const item = make("li", inkOf(node.id)), line = make("div", "store-line"), figures = node.figures || {};
    const name = make("span", "name");
    name.append(make("i", "swatch"), make("span", "", node.id));
    line.append(name);
    item.append(line);
    if (!node.up) {
      line.append(make("span", "soft", "down: what it holds is not known"));
      return item;
    }
    const garbage = node.garbage_bytes > 0 ? `${bytes(node.garbage_bytes)} of deleted ones, ` : "";
    line.append(make("span", "", `${chunkCount(node.chunks)}, ${bytes(node.chunk_bytes)}`),
      make("span", "soft", `${garbage}${bytes(node.disk_free_bytes)} free`));
    if (node.disk_total_bytes > 0) {
      const used = 1 - node.disk_free_bytes / node.disk_total_bytes;
      const bar = make("div", used > 0.9 ? "bar tight" : "bar"), fill = make("i");
      bar.setAttribute("role", "img");
      bar.setAttribute("aria-label", `its disk is ${Math.round(used * 100)} % full`);
      fill.style.width = `${(used * 100).toFixed(1)}%`;
      bar.append(fill);
      item.append(bar);
    }
    if (figures.chunks_missing > 0) {
      item.append(make("div", "mending", `missing, and being fetched: ${chunkCount(figures.chunks_missing)}`));
    }
    const done = [];
    if (figures.chunks_repaired > 0) done.push(`${shortNumber(figures.chunks_repaired)} fetched`);
    if (figures.chunks_collected > 0) done.push(`${shortNumber(figures.chunks_collected)} collected`);
    if (done.length) item.append(make("div", "soft", `repaired since its start: ${done.join(", ")}`));
    return item;
  }));
}

const kSigns = {
  started: ["good", "▲"], leads: ["leads", "★"], follows: ["", "→"], stands: ["warn", "?"], no_leader: ["warn", "∅"],
  members: ["", "±"], peer_lost: ["bad", "✗"], peer_back: ["good", "✓"], snapshot_taken: ["", "▣"],
  snapshot_installed: ["", "▼"], chunks_missing: ["warn", "!"], chunks_repaired: ["good", "✓"], disk_full: ["bad", "!"],
  disk_has_room: ["good", "✓"], disk_slow: ["bad", "!"], disk_answers: ["good", "✓"], etcd_lost: ["warn", "!"],
  etcd_back: ["good", "✓"], removed: ["bad", "−"], transfer: ["", "⇄"],
};
const kClock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

function showEvents() {
  const events = [...known.events.values()].flat();
  events.sort((one, other) => other.at - one.at || other.number - one.number);
  const items = events.slice(0, kEventsShown).map((event) => {
    const [kind, sign] = kSigns[event.kind] || ["", "·"];
    const item = make("li", kind), what = make("span", "what"), time = make("time", "", kClock.format(event.at));
    time.dateTime = event.time;
    const mark = make("span", "sign", sign);
    mark.setAttribute("aria-hidden", "true");
    what.append(make("b", "", event.node), document.createTextNode(` ${event.text}`));
    item.append(time, mark, what, make("span", "ago", `${duration((known.heardAt - event.at) / 1000)} ago`));
    return item;
  });
  byId("events").replaceChildren(...(items.length ? items : [make("li", "none", "Nothing has happened yet.")]));
}

function showFrame() {
  const own = known.status.nodes.find((node) => node.id === known.self);
  say(byId("cluster"), known.status.cluster_id);
  say(byId("seen"), `as ${known.self} sees it`);
  const build = own ? [own.version, own.commit, own.profile].filter(Boolean).join(" · ") : "";
  say(byId("build"), `Sandstore ${build}`);
}

function show() {
  showHeadline();
  if (!known.status) return;
  chooseShown();
  showFrame();
  showNodes();
  showElections();
  showFigures();
  for (const chart of Object.values(charts)) chart.show();
  showMembers();
  showStores();
  showEvents();
}

// --- Explanations --------------------------------------------------------------------------------------------------

let explained = null;

function explain(button) {
  if (explained === button) return;
  hideExplanation();
  const box = byId("explanation");
  explained = button;
  box.textContent = kTerms[button.dataset.term];
  box.hidden = false;
  button.setAttribute("aria-describedby", "explanation");
  const from = button.getBoundingClientRect(), size = box.getBoundingClientRect();
  const wide = document.documentElement.clientWidth;
  const left = Math.max(12, Math.min(from.left, wide - size.width - 12));
  const above = from.bottom + size.height + 12 > window.innerHeight && from.top > size.height + 12;
  box.style.left = `${left + window.scrollX}px`;
  box.style.top = `${(above ? from.top - size.height - 8 : from.bottom + 8) + window.scrollY}px`;
}

function hideExplanation() {
  if (!explained) return;
  explained.removeAttribute("aria-describedby");
  explained = null;
  byId("explanation").hidden = true;
  byId("explanation").textContent = "";
}

function listenForTerms() {
  const termOf = (event) => event.target.closest && event.target.closest(".term");
  document.addEventListener("pointerover", (event) => {
    if (termOf(event)) explain(termOf(event));
    else if (explained !== document.activeElement) hideExplanation();
  });
  document.addEventListener("focusin", (event) => (termOf(event) ? explain(termOf(event)) : hideExplanation()));
  document.addEventListener("click", (event) => (termOf(event) ? explain(termOf(event)) : hideExplanation()));
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hideExplanation(); });
  window.addEventListener("resize", hideExplanation);
}

// --- Colours, time, and the questions to the node --------------------------------------------------------------------

const kThemes = ["system", "light", "dark"];

function setTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  say(byId("theme"), `Colours: ${theme}`);
  try {
    localStorage.setItem("theme", theme);
  } catch (error) {
    // Without storage the choice lasts as long as the page.
  }
}

function savedTheme() {
  try {
    return kThemes.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "system";
  } catch (error) {
    return "system";
  }
}

// As much time as something is known of, up to five minutes, until the reader chooses.
function chooseShown() {
  if (known.chosen) return;
  const firsts = [...known.samples.values()].map((kept) => (kept.rows.length ? kept.rows[0].at : Infinity));
  const oldest = Math.min(...firsts);
  setShown(known.heardAt - oldest > 65e3 ? 300e3 : 60e3);
}

function setShown(ms) {
  known.shownMs = ms;
  for (const one of document.querySelectorAll("[data-seconds]")) {
    one.setAttribute("aria-pressed", String(Number(one.dataset.seconds) * 1000 === ms));
  }
}

async function ask() {
  const missedMs = known.heardAt ? Date.now() - known.heardAt : kKeptMs;
  const seconds = Math.min(600, Math.ceil(missedMs / 1000) + 5);
  const hurry = new AbortController();
  const timer = setTimeout(() => hurry.abort(), kPatienceMs);
  try {
    const answer = await fetch(`/overview?seconds=${seconds}&events=100`, { signal: hurry.signal, cache: "no-store" });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.error || `it answers ${answer.status}`);
    learn(told);
  } catch (error) {
    known.problem = error.name === "AbortError" ? "It does not answer in time." :
      error instanceof TypeError ? "It does not answer." : `It says: ${error.message}.`;
  } finally {
    clearTimeout(timer);
  }
}

// The next question a second after this one began; none while nobody looks.
async function run() {
  for (;;) {
    const began = Date.now();
    if (!document.hidden) {
      await ask();
      show();
    }
    await new Promise((done) => setTimeout(done, Math.max(200, began + kEveryMs - Date.now())));
  }
}

setTheme(savedTheme());
byId("theme").addEventListener("click", () => {
  const current = document.documentElement.dataset.theme || "system";
  setTheme(kThemes[(kThemes.indexOf(current) + 1) % kThemes.length]);
});
for (const button of document.querySelectorAll("[data-seconds]")) {
  button.addEventListener("click", () => {
    known.chosen = true;
    setShown(Number(button.dataset.seconds) * 1000);
    show();
  });
}
makeCharts();
listenForTerms();
window.addEventListener("resize", show);
run();
