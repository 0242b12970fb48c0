// The server's endpoints, as this page uses them.

import { settings } from "./store.js";

function headers(extra = {}) {
  return settings.key ? { ...extra, Authorization: `Bearer ${settings.key}` } : extra;
}

async function problemOf(response) {
  try {
    return (await response.json()).message;
  } catch {
    return `the server answered with status ${response.status}`;
  }
}

export async function get(path) {
  const response = await fetch(path, { headers: headers() });
  if (!response.ok) throw new Error(await problemOf(response));
  return response.json();
}

function sampling() {
  const fields = {};
  for (const name of ["temperature", "top_p", "min_p", "top_k", "repetition_penalty", "max_tokens", "seed"]) {
    if (settings[name] !== "" && settings[name] !== null) fields[name] = Number(settings[name]);
  }
  return fields;
}

/** Yields the events of a streamed answer. */
export async function* chat(messages, routing, signal) {
  const body = { messages, stream: true, stream_options: { include_usage: true }, ...sampling() };
  if (settings.adapter) body.model = settings.adapter;
  if (routing) body.routing = true;
  const response = await fetch("v1/chat/completions", { method: "POST", headers: headers({ "Content-Type": "application/json" }), body: JSON.stringify(body), signal });
  if (!response.ok) throw new Error(await problemOf(response));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    pending += value;
    let end;
    while ((end = pending.indexOf("\n\n")) >= 0) {
      const line = pending.slice(0, end);
      pending = pending.slice(end + 2);
      if (!line.startsWith("data: ")) continue;  // a ping
      if (line === "data: [DONE]") return;
      const event = JSON.parse(line.slice(6));
      if (event.error) throw new Error(event.error.message);
      yield event;
    }
  }
}
