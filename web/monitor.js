"use strict";
// Everything that comes from the database or a peer enters the page as text, never as markup.

const EVERY_MS = 2000;

function fill(id, rows, empty) {
  const body = document.getElementById(id);
  body.replaceChildren();
  if (rows.length === 0) rows = [[empty]];
  for (const row of rows) {
    const tr = document.createElement("tr");
    for (const cell of row) {
      const td = document.createElement("td");
      const [text, look] = Array.isArray(cell) ? cell : [cell, ""];
      td.textContent = text === null || text === undefined ? "–" : String(text).slice(0, 500);
      if (look) td.className = look;
      tr.append(td);
    }
    body.append(tr);
  }
}

function stateOf(peer) {
  if (peer.held) return ["held: " + peer.held, "bad"];
  if (peer.held_back) return ["holds deletions back: " + peer.held_back, "bad"];
  if (peer.paused) return ["paused", ""];
  return peer.in_step ? ["in step", "good"] : ["not in step", "bad"];
}

function show(status) {
  document.getElementById("node").textContent = status.node + " · " + status.database;
  const state = document.getElementById("state");
  const good = status.peers.length > 0 && status.peers.every((p) => p.in_step);
  state.textContent = good ? "Everything committed here is at every peer: safe to close the lid."
    : "Not everything is at every peer yet.";
  state.className = good ? "good" : "bad";
  fill("peers", status.peers.map((p) => [p.name, stateOf(p), p.pending, p.records_sent, p.records_applied,
    p.retry + p.waiting + p.parked, p.last_success, p.last_error]), "no peers");
  fill("parked", status.parked.map((c) => [c.id, c.peer, c.table, c.record_id, c.attempts, c.reason]), "nothing is parked");
  fill("activity", status.activity.map((a) => [a.at, a.peer, a.direction, a.records, a.refused, a.milliseconds]), "nothing yet");
  const queue = document.getElementById("queue");
  queue.replaceChildren();
  for (const [name, count] of [...Object.entries(status.queue), ["conflicts kept", status.conflicts]]) {
    const box = document.createElement("div"), dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = name;
    dd.textContent = count;
    box.append(dt, dd);
    queue.append(box);
  }
}

async function refresh() {
  try {
    const answer = await fetch("/api/status", { cache: "no-store" });
    if (!answer.ok) throw new Error("the agent answered " + answer.status);
    show(await answer.json());
  } catch (error) {
    const state = document.getElementById("state");
    state.textContent = "No news from the agent: " + error.message;
    state.className = "bad";
  }
  setTimeout(refresh, EVERY_MS);
}

refresh();
