// The REST interface as functions; a refusal is a Problem with the service's own words.

export class Problem extends Error {
  constructor(body) {
    super(body.detail || body.title);
    this.title = body.title;
    this.fields = body.errors || [];
  }
}

async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Problem({ title: "No answer", detail: "The service cannot be reached." });
  }
  if (response.ok) return response.status === 204 ? null : response.json();
  throw new Problem(await response.json().catch(() => ({ title: `Status ${response.status}` })));
}

export function submit(request, file) {
  const headers = { "Idempotency-Key": crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}` };
  if (!file) {
    headers["Content-Type"] = "application/json";
    return call("/erf", { method: "POST", headers, body: JSON.stringify(request) });
  }
  const form = new FormData();
  form.append("request", new Blob([JSON.stringify(request)], { type: "application/json" }));
  form.append("model", file, file.name);
  return call("/erf", { method: "POST", headers, body: form });
}

export const look = (id) => call(`/erf/${encodeURIComponent(id)}`);
export const recent = () => call("/erf?page_size=12");
export const cancel = (id) => call(`/erf/${encodeURIComponent(id)}`, { method: "DELETE" });
export const ready = () => call("/health/ready");

// Follows a job; `update` gets the whole job whenever something changed. Returns what stops it.
export function follow(job, update) {
  const source = new EventSource(job.links.events);
  let known = job;
  const merge = (event) => update((known = { ...known, ...JSON.parse(event.data) }));
  source.addEventListener("snapshot", merge);
  source.addEventListener("progress", merge);
  source.addEventListener("end", (event) => {
    source.close();
    merge(event);
  });
  return () => source.close();
}
