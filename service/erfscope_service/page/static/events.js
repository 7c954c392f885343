// A job's server-sent events, read with fetch: EventSource cannot send a key.

import { look, send } from "/page/api.js";
import { isPassing, pause } from "/page/patience.js";

export const ENDED = new Set(["succeeded", "failed", "canceled", "expired"]);

// Calls `update` with the whole job whenever something changed; returns what stops it.
export function follow(job, update, fail) {
  const stop = new AbortController();
  let known = job;
  const merge = (event) => update((known = { ...known, ...JSON.parse(event.data) }));
  run(job, stop.signal, merge).catch((error) => stop.signal.aborted || fail(error));
  return () => stop.abort();
}

async function run(job, signal, merge) {
  for (let last = null, tries = 0; ; tries++) {
    let refusal = null;
    try {
      for await (const event of stream(job.links.events, last, signal)) {
        last = event.id ?? last;
        tries = 0;
        merge(event);
        if (event.name === "end") return;
      }
    } catch (error) {
      if (signal.aborted || !isPassing(error)) throw error;
      refusal = error;
    }
    await pause(tries, refusal);
    if (signal.aborted) return;
    const now = await look(job.id).catch(unlessPassing); // the stream was cut; perhaps the end was missed
    if (signal.aborted) return;
    if (now) merge({ data: JSON.stringify(now) });
    if (now && ENDED.has(now.status)) return;
  }
}

function unlessPassing(error) {
  if (!isPassing(error)) throw error;
  return null;
}

async function* stream(path, last, signal) {
  const headers = { Accept: "text/event-stream", ...(last ? { "Last-Event-ID": last } : {}) };
  const response = await send(path, { headers, signal, cache: "no-store" });
  if (response.status === 204) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let buffer = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (buffer + value).split(/\r?\n\r?\n/);
    buffer = blocks.pop();
    for (const event of blocks.map(parsed)) if (event.data) yield event;
  }
}

// One block of "field: value" lines (WHATWG HTML, 9.2.6); comments have no field.
function parsed(block) {
  const event = { name: "message", id: null, data: "" };
  for (const line of block.split(/\r?\n/)) {
    const [, field, value] = line.match(/^([^:]*):? ?(.*)$/s);
    if (field === "event") event.name = value;
    if (field === "id") event.id = value;
    if (field === "data") event.data += value;
  }
  return event;
}
