"use strict";
// The page, alive. What comes from the database or a peer enters as text, never as markup; all words stand in
// texts.json; the state comes by server-sent events, lists when their numbers have changed.

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
let texts = {}, state = null, review = null, history = null, span = "hour";

/* --- words --- */

function t(key, values) {
  const text = texts[key] === undefined ? key : texts[key];
  return text.replace(/\{(\w+)\}/g, (whole, name) => values && name in values ? String(values[name]) : whole);
}

const number = (n) => Number(n).toLocaleString(texts.lang);

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"], unit = bytes < 1 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10)), n = bytes / 1024 ** unit;
  return n.toLocaleString(texts.lang, { maximumFractionDigits: n < 10 && unit > 0 ? 1 : 0 }) + " " + units[unit];
}

// Seconds as the largest unit that fits, in the language of the texts.
function duration(seconds) {
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const [unit, size] = units.find(([, s]) => seconds >= s) || units[3];
  return new Intl.NumberFormat(texts.lang, { style: "unit", unit, unitDisplay: "long", maximumFractionDigits: 0 }).format(seconds / size);
}

const parse = (utc) => new Date(utc.replace(" ", "T").slice(0, 23) + "Z");

function ago(date) {
  const seconds = Math.max(0, (Date.now() - date) / 1000);
  const [unit, size] = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]].find(([, s]) => seconds >= s) || ["second", 1];
  return new Intl.RelativeTimeFormat(texts.lang, { numeric: "auto" }).format(-Math.floor(seconds / size), unit);
}

/* --- building --- */

// h("td.num", {title: "x"}, "text", node, ...): strings become text nodes.
function h(what, attributes, ...children) {
  const [tag, ...classes] = what.split(".");
  const e = document.createElement(tag);
  if (classes.length) e.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "on") e.addEventListener("click", value);
    else if (value !== null && value !== false) e.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) e.append(child);
  return e;
}

function time(utc) {
  if (!utc) return t("never");
  const date = parse(utc);
  return h("time", { datetime: date.toISOString(), title: date.toLocaleString(texts.lang) }, ago(date));
}

function button(key, label, action, look) {
  return h("button" + (look || ""), { type: "button", "data-key": key, on: action }, label);
}

// A command to be run in a terminal, with a button that copies it.
function command(key, text) {
  const code = h("code", null, text), copied = () => say(t("did.copy"));
  const select = () => { getSelection().selectAllChildren(code); say(t("did.select")); };
  const copy = () => navigator.clipboard ? navigator.clipboard.writeText(text).then(copied, select) : select();
  const b = button("copy " + key + text, t("act.copy"), copy, ".copy");
  b.setAttribute("aria-label", t("act.copy_label", { command: text }));
  return h("span.command", null, code, " ", b);
}

// A sentence, its commands to be copied; one with a NAME to be filled in is none.
const COMMAND = /agent(?: --(?:(?:peer|from|table|unpair|rotate) (?!NAME\b|of\b|on\b|or\b)[\w.-]+|[a-z-]+))+(?! NAME)/g;
function told(key, text) {
  const parts = [];
  let at = 0;
  for (const found of text.matchAll(COMMAND)) {
    parts.push(text.slice(at, found.index), command(key, found[0].replace(/\.$/, "")));
    at = found.index + found[0].replace(/\.$/, "").length;
  }
  return [...parts, text.slice(at)];
}

// New content, with the focus and what was opened as they were.
function put(id, ...nodes) {
  const box = $(id), active = document.activeElement;
  const key = box.contains(active) ? active.dataset.key : null;
  const open = new Set([...box.querySelectorAll("details[open]")].map((d) => d.dataset.key));
  const values = new Map([...box.querySelectorAll("select")].map((s) => [s.dataset.key, s.value]));
  box.replaceChildren(...nodes.flat());
  for (const d of box.querySelectorAll("details")) if (open.has(d.dataset.key)) d.open = true;
  for (const s of box.querySelectorAll("select")) {
    const value = values.get(s.dataset.key);
    if ([...s.options].some((o) => o.value === value)) s.value = value;
  }
  if (key) for (const e of box.querySelectorAll("[data-key]")) if (e.dataset.key === key) e.focus({ preventScroll: true });
}

// Each part is only made anew when what it shows has changed.
const shown = {};
function part(id, data, make) {
  const text = JSON.stringify(data);
  if (shown[id] === text) return;
  shown[id] = text;
  put(id, make());
}

function table(heads, rows, empty) {
  if (rows.length === 0) return h("p.empty", null, empty);
  return h("table", null,
    h("thead", null, h("tr", null, heads.map((head) => h("th" + (head.num ? ".num" : ""), { scope: "col" }, head.text)))),
    h("tbody", null, rows.map((row) => h("tr", null, row.map((cell, i) => h("td" + (heads[i].num ? ".num" : ""), null, cell))))));
}

const heads = (prefix, names, numbers) => names.map((name) => ({ text: t(prefix + name), num: (numbers || []).includes(name) }));

/* --- the answer --- */

const sum = (name) => state.peers.reduce((n, p) => n + p[name], 0);

const GIB = 1024 ** 3; // beyond it, or below it for what is free, a person should look

function todo() {
  const items = [], say = (key, values, target) => items.push(h("li", null, h("span", null, told("todo ", t("todo." + key, values))),
    target ? h("a", { href: target, "data-key": "todo" + key + values.peer }, t("act.review")) : null));
  for (const p of state.peers) {
    const first = { peer: p.name };
    for (const advice of p.advice) {
      if (advice === "deletes" || advice === "held" || advice === "tables") say(advice, first, "#peer-" + p.name);
      if (advice === "undecided") say(advice, { peer: p.name, n: number(p.undecided) }, "#conflicts");
      if (advice === "parked") say(advice, { peer: p.name, n: number(p.parked) }, "#parked");
    }
  }
  const c = state.counts || { dirty_tables: 0, new_tables: [], app_triggers: [], numbering: [] };
  if (c.dirty_tables > 0) say("dirty", {});
  for (const table of c.new_tables) say("new_table", { table });
  for (const one of c.app_triggers) say("triggers", one);
  if (c.numbering.length > 0) say("numbering", {});
  for (const one of c.directions || []) say("oneway", one);
  for (const one of c.trees || []) {
    if (one.held) say("tree_held", one);
    if (one.failed > 0) say("tree_waits", { name: one.name, failed: number(one.failed) });
    if (one.after_error) say("tree_after", one);
  }
  if (c.queue_bytes > GIB) say("queue_large", { size: size(c.queue_bytes) });
  if (c.conflict_bytes > GIB) say("conflicts_large", { size: size(c.conflict_bytes) });
  if (c.free_bytes !== null && c.free_bytes < GIB) say("room", { size: size(c.free_bytes) });
  return items.length ? h("ul", { "aria-label": t("todo") }, items) : [];
}

function startup() {
  const s = state.startup;
  if (!s) return [];
  const words = t("startup.is", { peer: s.peer, done: number(s.done), tables: number(s.tables), n: number(s.records) });
  return [h("progress", { max: Math.max(1, s.tables), value: s.done, "aria-label": words }), h("p", null, words + (s.table ? ", " + t("startup.now", { table: s.table }) : ""))];
}

function answer(headline) {
  $("hero").className = headline;
  // Set only when it differs: a live region speaks at every change.
  for (const [id, key] of [["headline", "headline."], ["sentence", "sentence."]])
    if ($(id).textContent !== t(key + headline)) $(id).textContent = t(key + headline);
  const known = state && headline !== "unknown" && headline !== "alone", moving = headline === "sending" || headline === "filling";
  const lid = known ? t(state.lid_safe ? "lid.yes" : moving ? "lid.wait" : "lid.later") : "";
  $("lid").className = known && state.lid_safe ? "safe" : "";
  if ($("lid").textContent !== lid) $("lid").textContent = lid;
  document.title = t("headline." + headline) + " · " + t("title");
}

/* --- peers --- */

function advice(p) {
  const boxes = [], box = (text, look) => boxes.push(h("p.advice" + (look || ""), null, told(p.name, text)));
  if (p.held) box(p.held, ".warn");
  if (p.held_back) box(p.held_back, ".warn");
  for (const name of p.advice) box(t("advice." + name));
  for (const m of p.moved_tables) {
    box(t("tables.waiting", { table: m.table, what: m.message || m.what, n: number(m.records) }), ".warn");
    if (m.state === "held") boxes.push(h("ul.choices", null, m.choices.map((c) => h("li", null, c.choice + ": ", command(p.name, c.command)))));
  }
  if (p.retry + p.waiting > 0) for (const reason of p.reasons) box(reason);
  return boxes;
}

function facts(p) {
  const rows = [], row = (key, value) => rows.push(h("dt", null, t(key)), h("dd", null, value));
  if (p.lag_ms > 0) row("peer.lag", duration(p.lag_ms / 1000));
  row("peer.success", time(p.last_success));
  if (p.last_error) row("peer.error", h("span", null, p.last_error + " (", time(p.last_error_at), ")"));
  row("peer.records", t("peer.sent_applied", { sent: number(p.records_sent), applied: number(p.records_applied) }));
  if (p.retry + p.waiting + p.parked > 0) row("peer.refused", number(p.retry + p.waiting + p.parked));
  if (p.clock_skew_ms && Math.abs(p.clock_skew_ms) > 1000) row("peer.clock", duration(Math.abs(p.clock_skew_ms) / 1000));
  return h("dl", null, rows);
}

function card(p) {
  const pending = p.pending_about ? t("peer.pending_about", { n: number(p.pending) }) : number(p.pending);
  const way = p.paused ? "resume" : "pause";
  return h("article.card", { id: "peer-" + p.name, tabindex: "-1", "aria-labelledby": "name-" + p.name },
    h("div.top", null, h("h3", { id: "name-" + p.name, title: p.url }, p.name), h("span.pill." + p.state, null, t("state." + p.state))),
    h("p.big", null, pending + " ", h("small", null, t("peer.pending"))),
    h("p.lid", null, t(p.in_step ? "lid.safe" : p.state === "sending" ? "lid.open" : "lid.not")),
    facts(p), advice(p),
    h("div.buttons", null,
      p.held && !p.deletes_held ? button("again " + p.name, t("act.again"), () => act("drain", {})) : null,
      p.deletes_held ? button("allow " + p.name, t("act.allow"), () => ask("allow", { peer: p.name }, p)) : null,
      button("pause " + p.name, t("act." + way), () => ask(way, { peer: p.name }, p), ".quiet")));
}

/* --- graphs --- */

function svg(tag, attributes) {
  const e = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  return e;
}

// Buckets in order, with zeros where none was written because nothing happened; null while the agent was off.
function series(one, pick) {
  const first = Math.floor((history.now - one.span) / one.step) * one.step, found = new Map(one.points.map((p) => [p[0], p])), values = [];
  let last = null;
  for (let at = first; at <= history.now; at += one.step) {
    const p = found.get(at);
    if (p) {
      for (let i = values.length - 1; last !== null && at - last <= Math.max(330, 2 * one.step) && i >= 0 && values[i] === null; i--) values[i] = 0;
      last = at;
    }
    values.push(p ? pick(p, one.step) : null);
  }
  for (let i = values.length - 1; last !== null && history.now - last < 330 && i >= 0 && values[i] === null; i--) values[i] = 0;
  return values;
}

function chart(key, pick, show) {
  const one = history[span], values = series(one, pick), most = Math.max(0, ...values), top = most || 1;
  const x = (i) => (i / Math.max(1, values.length - 1) * 600).toFixed(1), y = (v) => (98 - v / top * 94).toFixed(1);
  let curve = "", area = "";
  for (let i = 0; i < values.length; i++) {
    if (values[i] === null) continue;
    const begins = i === 0 || values[i - 1] === null;
    curve += (begins ? "M" : "L") + x(i) + " " + y(values[i]);
    if (begins) area += "M" + x(i) + " 98";
    area += "L" + x(i) + " " + y(values[i]);
    if (i === values.length - 1 || values[i + 1] === null) area += "L" + x(i) + " 98Z";
  }
  const last = values.filter((v) => v !== null).pop();
  const words = last === undefined ? t("graphs.empty") : t("graphs.now", { n: show(last) }) + ", " + t("graphs.most", { n: show(most) });
  const picture = svg("svg", { viewBox: "0 0 600 100", preserveAspectRatio: "none", role: "img", "aria-label": t(key) + ": " + words });
  picture.append(svg("path", { d: "M0 98H600", class: "base" }), svg("path", { d: area, class: "area" }), svg("path", { d: curve, class: "curve" }));
  return h("figure.chart", null, h("figcaption", null, h("strong", null, t(key)), h("span", null, words)), picture,
    h("div.axis", { "aria-hidden": "true" }, h("span", null, t("graphs.ago", { n: duration(one.span) })), h("span", null, t("graphs.now", { n: "" }))));
}

function drawGraphs() {
  if (!history) return;
  put("charts", chart("graphs.pending", (p) => p[1], number),
    chart("graphs.rate", (p, step) => (p[2] + p[3]) / step, (v) => number(v >= 10 ? Math.round(v) : Math.round(v * 10) / 10)),
    chart("graphs.lag", (p) => p[4] / 1000, (v) => v > 0 ? duration(v) : "0"));
}

/* --- conflicts, parked --- */

function value(column, side) {
  if (!(side in column)) return h("span.nothing", null, t("conflicts.absent"));
  return column[side] === null ? h("span.nothing", null, t("conflicts.null")) : column[side];
}

function sideHead(c, side) {
  const v = c[side], stands = c.kept === side || c.kept === "both";
  return h("th", { scope: "col" }, t("conflicts." + side), stands ? h("span.stands", null, " · " + t("conflicts.stands")) : null,
    h("small", null, t("conflicts.who", { node: v.node, at: v.changed_at.slice(0, 19) })), isGone(c, side) ? h("small", null, t("conflicts.deleted")) : null);
}

/* No row there, or one that says that the file was deleted. */
function isGone(c, side) {
  return c[side].deleted || (c.file && c.file.gone[side]);
}

function title(c) {
  return c.file ? t("conflicts.file", c.file) : t("conflicts.title", { table: c.table, record: c.record_id });
}

function versus(c) {
  if (!c.columns) return h("p.empty", null, t("conflicts.large"));
  const both = !isGone(c, "local") && !isGone(c, "remote");
  return h("div.wide", { role: "group", tabindex: "0", "aria-label": title(c) },
    h("table.versus", null,
      h("thead", null, h("tr", null, h("th", { scope: "col" }, t("conflicts.column")), sideHead(c, "local"), sideHead(c, "remote"))),
      h("tbody", null, c.columns.map((column) => h("tr" + (both && column.differs ? ".differs" : ""), null,
        h("th", { scope: "row" }, c.file ? t("conflicts.of_" + column.name) : column.name, both && column.differs ? h("span.hide", null, " (" + t("conflicts.differs") + ")") : null),
        h("td", null, isGone(c, "local") ? h("span.nothing", null, t("conflicts.deleted")) : value(column, "local")),
        h("td", null, isGone(c, "remote") ? h("span.nothing", null, t("conflicts.deleted")) : value(column, "remote")))))));
}

function conflict(c) {
  const about = Object.assign({ record: c.record_id, table: c.table }, c.file), words = (side) => !c.file ? "resolve" : side === "both" ? "resolve_both" : "resolve_file";
  const keep = (side) => button("keep " + side + c.id, t("act.keep_" + side),
    () => ask("resolve", { id: c.id, keep: side }, about, t("act.keep_" + side), words(side)), c.undecided ? "" : ".quiet");
  return h("details", { "data-key": "conflict " + c.id, open: c.undecided && review.conflicts.filter((one) => one.undecided).length < 4 },
    h("summary", { "data-key": "summary " + c.id }, h("h3", null, title(c)),
      h("span.by", null, t("conflicts.rule", { rule: c.rule, peer: c.peer, at: c.at.slice(0, 19) })),
      h("span.pill." + (c.undecided ? "person" : "decided"), null, t(c.undecided ? "conflicts.undecided" : "conflicts.decided"))),
    h("div", null, versus(c), c.file ? h("p.meaning", null, t("conflicts.file_one"), c.file.beside ? " " + t("conflicts.file_both", c.file) : null) : null,
      h("div.buttons", null, c.kept === "local" ? null : keep("local"), c.kept === "remote" ? null : keep("remote"), c.file && c.file.beside ? keep("both") : null)));
}

function choose(key, label, options) {
  return h("label", null, label, h("select", { "data-key": key, name: key }, options.map(([v, text]) => h("option", { value: v }, text))));
}

function bulk() {
  const open = review.conflicts.filter((c) => c.undecided), of = (name) => [["", t("conflicts.any")], ...[...new Set(open.map((c) => c[name]))].map((v) => [v, v])];
  if (open.length < 2) return [];
  const decide = () => {
    const pick = (key) => $("bulk").querySelector("[name=" + key + "]").value, body = { keep: pick("keep") };
    if (pick("table")) body.table = pick("table");
    if (pick("rule")) body.rule = pick("rule");
    const fits = open.filter((c) => (!body.table || c.table === body.table) && (!body.rule || c.rule === body.rule)).length;
    const all = !body.table && !body.rule;
    ask("resolve_many", body, { n: number(all ? Math.max(fits, sum("undecided")) : fits), keep: t("conflicts.keep_" + body.keep) }, t("act.decide"));
  };
  return h("div.bulk", { role: "group", "aria-label": t("conflicts.bulk") }, choose("table", t("conflicts.table"), of("table")), choose("rule", t("conflicts.policy"), of("rule")),
    choose("keep", t("conflicts.keep"), ["newer", "local", "remote"].map((k) => [k, t("conflicts.keep_" + k)])), button("decide", t("act.decide"), decide));
}

function parkedRow(c) {
  return [String(c.id), c.peer, c.table, c.record_id, String(c.attempts), c.reason || "", h("div.buttons", null,
    button("retry " + c.peer + c.id, t("act.retry"), () => act("retry", { id: c.id, peer: c.peer }), ".quiet"),
    button("discard " + c.peer + c.id, t("act.discard"), () => ask("discard", { id: c.id, peer: c.peer }, c), ".quiet"))];
}

/* --- everything --- */

function counts() {
  const c = state.counts;
  if (!c) return h("p.empty", null, t("counts.wait"));
  const boxes = [...Object.entries(c.queue), ["conflicts", c.conflicts]].map(([name, n]) => [name, number(n)]);
  for (const name of ["queue_bytes", "conflict_bytes", "free_bytes"]) if (c[name] !== null) boxes.push([name, size(c[name])]);
  return h("dl.stats", null, boxes.map(([name, text]) => h("div", null, h("dt", null, t("counts." + name)), h("dd", null, text))));
}

// Every table, those with most to send first; how it travels.
const TABLES_SHOWN = 100;
function tables() {
  const c = state.counts, known = new Set(c.tables.map((one) => one.table)), pending = (name) => c.pending_by_table[name] || 0;
  const rows = [...c.tables, ...Object.keys(c.pending_by_table).filter((name) => !known.has(name)).map((table) => ({ table }))];
  rows.sort((a, b) => pending(b.table) - pending(a.table)); // stable: else by name
  const rule = (one) => { const [word, node] = one.rule.split(" "); return t("tables." + word, { node }); };
  return [table(["table", "changes"].map((name) => ({ text: t("counts." + name), num: name === "changes" })).concat(heads("tables.", ["priority", "direction", "rule"])),
    rows.slice(0, TABLES_SHOWN).map((one) => [one.table, number(pending(one.table)), ...(one.rule ? [t("tables." + one.priority), t("tables." + one.direction), rule(one)] : ["", "", ""])]),
    t("tables.none")), rows.length > TABLES_SHOWN ? h("p.empty", null, t("tables.more", { n: number(rows.length - TABLES_SHOWN) })) : []];
}

// Upload folders as they were counted last.
function transfer(one) {
  const values = { peer: one.peer, done: size(one.bytes), rate: size(one.bytes_per_second || 0), left: duration(one.seconds_left || 0) };
  const last = one.last_success ? t("trees.complete", { at: ago(parse(one.last_success)) }) : t("trees.never");
  return h("p", null, t(one.peer ? "trees.to" : "trees.from", values) + " " + (one.moving ? t("trees.moving", values) : last));
}

function treeRow(one) {
  const state = one.held ? "held" : one.failed > 0 ? "waits" : one.in_step ? "in_step" : "differs";
  const values = { files: number(one.files), size: size(one.bytes), listed_files: number(one.listed_files), listed_size: size(one.listed_bytes), pending: number(one.pending), pending_size: size(one.pending_bytes) };
  return [one.name, t("trees." + state), t("trees.files", values), t("trees.listed", values), t("trees.open", values), h("div", null, one.transfers.map(transfer))];
}

function trees() {
  const c = state.counts;
  if (!c) return h("p.empty", null, t("counts.wait"));
  return table(heads("trees.", ["name", "state", "here", "list", "pending", "way"]), c.trees.map(treeRow), t("trees.none"));
}

function auditRow(a) {
  return [time(a.at), t("audit." + a.action) + (a.records > 1 ? " (" + number(a.records) + ")" : ""), a.peer || "", a.subject || "", a.reason || "", a.error || t("audit.done")];
}

function showState() {
  $("node").textContent = state.node + " · " + state.database;
  answer(state.headline);
  const c = state.counts;
  part("todo", [state.peers.map((p) => [p.name, p.advice, p.undecided, p.parked]), c && [c.trees, c.dirty_tables, c.new_tables, c.app_triggers, c.numbering, c.directions, size(c.queue_bytes), size(c.conflict_bytes), c.free_bytes < GIB]], todo);
  part("startup", state.startup, startup);
  part("peers", state.peers, () => state.peers.map(card));
  part("counts", c, counts);
  if (c) part("tables", [c.tables, c.pending_by_table], tables);
  part("trees", c && [c.trees, Math.floor(Date.now() / 60000)], trees);
  part("activity", state.activity, () => table(heads("activity.", ["at", "peer", "direction", "records", "refused"], ["records", "refused"]),
    state.activity.map((a) => [time(a.at), a.peer, t("activity." + a.direction), number(a.records), number(a.refused)]), t("activity.none")));
  part("setup", state.configuration, () => table(heads("setup.", ["option", "value"]), state.configuration, ""));
  $("versions").textContent = t("versions") + ": " + Object.entries(state.versions).map(([name, v]) => name + " " + v).join(", ");
}

function showReview() {
  const list = review.conflicts;
  part("bulk", list.filter((c) => c.undecided).map((c) => [c.id, c.table, c.rule]), bulk);
  part("conflict-list", list, () => [list.length ? list.map(conflict) : h("p.empty", null, t("conflicts.none")),
    list.length >= 50 ? h("p.empty", null, t("conflicts.more", { n: list.length })) : null].flat().filter(Boolean));
  part("parked-list", review.parked, () => table(heads("parked.", ["id", "peer", "table", "record", "attempts", "reason", "actions"], []), review.parked.map(parkedRow), t("parked.none")));
  $("retry-all").hidden = review.parked.length < 2;
  part("audit", review.audit, () => table(heads("audit.", ["at", "action", "peer", "subject", "reason", "result"]), review.audit.map(auditRow), t("audit.none")));
}

function tick() {
  for (const e of document.querySelectorAll("time")) {
    const text = ago(new Date(e.dateTime));
    if (e.textContent !== text) e.textContent = text;
  }
}

/* --- talking with the agent --- */

async function get(path) {
  const reply = await fetch(path, { cache: "no-store", redirect: "error" });
  if (reply.status === 401) location.assign("/login");
  if (!reply.ok) throw new Error(path + ": " + reply.status);
  return reply.json();
}

let wanted = "", loading = false, again = false;
async function reviewIfChanged() {
  const now = JSON.stringify([state.last_conflict, state.last_audit, sum("undecided"), sum("parked"), sum("discarded")]);
  again = loading; // what is on its way may have been read before
  if (now === wanted || loading) return;
  loading = true;
  try {
    review = await get("/api/monitor/review");
    wanted = now;
    showReview();
  } catch (error) {
    setTimeout(reviewIfChanged, 2000);
  }
  loading = false;
  if (!again) return;
  wanted = "";
  reviewIfChanged();
}

function take(text) {
  state = JSON.parse(text);
  link(true);
  showState();
  reviewIfChanged();
}

async function loadHistory() {
  try {
    if (!document.hidden) {
      history = await get("/api/monitor/history");
      $("graphs").hidden = false;
      drawGraphs();
    }
  } catch (error) { /* the link says so */ }
}

function link(good) {
  const e = $("link"), text = t(good ? "live" : "lost");
  e.hidden = false;
  e.className = good ? "link" : "link lost";
  if (e.textContent !== text) e.textContent = text;
  if (!good) answer("unknown");
}

let source = null;
function listen() {
  if (source) source.close();
  source = null;
  if (document.hidden) return; // a page that nobody sees keeps no connection
  source = new EventSource("/api/monitor/events");
  source.addEventListener("state", (event) => take(event.data));
  source.addEventListener("trouble", () => answer("unknown"));
  source.onerror = () => {
    link(false);
    if (source && source.readyState === EventSource.CLOSED) {
      source = null;
      get("/api/monitor/state").catch(() => null).then(() => setTimeout(listen, 2000));
    }
  };
}

/* --- acting --- */

function say(text) { $("said").textContent = text; clearTimeout(say.timer); say.timer = setTimeout(() => { $("said").textContent = ""; }, 8000); }

async function act(question, body) {
  const action = question === "retry_all" ? "retry" : question;
  try {
    const token = document.querySelector("meta[name=token]").content;
    const reply = await fetch("/api/monitor/" + action.replace("_", "-"), { method: "POST", redirect: "error",
      headers: { "Content-Type": "application/json", "X-Tandem-Token": token }, body: JSON.stringify(body) });
    const done = await reply.json();
    if (reply.status === 401) location.assign("/login");
    if (!reply.ok) throw new Error(done.message);
    say(t("did." + done.did, { n: number(done.records), left: number(done.left), peer: done.peer }));
  } catch (error) {
    say(t("did.failed", { message: error.message }));
  }
  wanted = "";
  if (state) reviewIfChanged();
}

// A question before what matters; with a reason where the list of actions should say why.
function ask(action, body, values, label, words) {
  const dialog = $("ask"), back = document.activeElement, reason = action === "discard";
  $("ask-text").textContent = t("ask." + (words || action), Object.assign({ record: values.record_id, peer: values.name || body.peer }, values));
  $("ask-yes").textContent = label || t("act." + action);
  $("ask-reason").hidden = !reason;
  $("ask-input").required = reason;
  $("ask-input").value = "";
  dialog.returnValue = "";
  $("ask-yes").value = "yes";
  dialog.onclose = () => {
    if (dialog.returnValue === "yes") act(action, reason ? Object.assign({ reason: $("ask-input").value }, body) : body);
    const again = back && back.dataset.key && document.querySelector('[data-key="' + CSS.escape(back.dataset.key) + '"]');
    (again || $("main")).focus({ preventScroll: true });
  };
  dialog.showModal();
}

async function start() {
  texts = await get("/texts.json");
  for (const id of ["logout", "drain"]) $(id).hidden = false;
  $("drain").addEventListener("click", () => act("drain", {}));
  $("retry-all").addEventListener("click", () => ask("retry_all", { id: 0 }, {}));
  $("ask-no").addEventListener("click", () => $("ask").close("no"));
  $("logout").addEventListener("click", async () => {
    const token = document.querySelector("meta[name=token]").content;
    await fetch("/logout", { method: "POST", headers: { "Content-Type": "application/json", "X-Tandem-Token": token }, body: "{}" });
    location.assign("/login");
  });
  for (const choice of document.querySelectorAll("[name=span]"))
    choice.addEventListener("change", () => { span = choice.value; drawGraphs(); });
  document.addEventListener("visibilitychange", () => { listen(); loadHistory(); });
  setInterval(tick, 5000);
  setInterval(loadHistory, 20000);
  listen();
  loadHistory();
}

const begin = () => start().catch(() => setTimeout(begin, 3000));
begin();
