// The REST interface as functions; a refusal is a Problem with the service's own words.

import { ask as askForKey, key } from "/page/key.js";

export class Problem extends Error {
  // `retryAfter` is in seconds.
  constructor({ title = "", detail = "", errors = [], status = 0, retryAfter = 0 }) {
    super(detail || title);
    Object.assign(this, { title, detail, errors, status, retryAfter });
  }
}

// One request; where the service wants a key, the user is asked and the request is sent again.
export async function send(path, { headers = {}, ...options } = {}) {
  const used = key();
  const response = await answered(path, {
    ...options,
    headers: used ? { ...headers, Authorization: `Bearer ${used}` } : headers,
  });
  if (response.ok) return response;
  const problem = new Problem({
    status: response.status,
    title: `Status ${response.status}`,
    retryAfter: Number(response.headers.get("Retry-After")) || 0,
    ...(await response.json().catch(() => ({}))),
  });
  if (response.status === 401 && (key() !== used || (await askForKey(problem.message))))
    return send(path, { headers, ...options });
  throw problem;
}

async function answered(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ title: "No answer", detail: "The service cannot be reached. Is it running?" });
  }
}

export const json = async (path, options) => (await send(path, options)).json();
const at = (id) => `/erf/${encodeURIComponent(id)}`;
const unique = () => crypto.randomUUID?.() ?? `${Date.now()}-${Math.random().toString(36).slice(2)}`;

// Submits work of any kind: a measurement (/erf), tiles, a fit.
export function ask(path, request) {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": unique() };
  return json(path, { method: "POST", headers, body: JSON.stringify(request) });
}

export const submit = (request) => ask("/erf", request);

export const look = (id) => json(at(id));
export const text = async (path) => (await send(path)).text();
export const bytes = async (path) => (await send(path)).arrayBuffer();
export const remove = (path, options = {}) => send(`${path}?purge=1`, { method: "DELETE", ...options });
export const ready = () => json("/health/ready");
export const schema = (name) => json(`/schemas/${name}`);
export const presets = () => json("/page/presets.json");
export const words = () => json("/page/words.json");
export const limits = () => json("/page/limits.json");
export const model = (sha256) => json(`/models/${sha256}`);
export const inspect = (sha256) => json(`/models/${sha256}`, { method: "POST" });

// The map of a job, or of one unit of its grid, or of one layer of its profile.
export function mapPath(job, { unit, layer } = {}) {
  const query = new URLSearchParams(unit ? { unit: unit.join(",") } : layer ? { layer } : {});
  return query.size ? `${job.links.map}?${query}` : job.links.map;
}

function upload(path, file) {
  const headers = {
    "Content-Type": "application/octet-stream",
    "Content-Disposition": `attachment; filename="${headerText(file.name)}"`,
  };
  return json(path, { method: "POST", headers, body: file });
}

// UTF-8 as the bytes that a header may carry, without what would end the quotes.
function headerText(text) {
  const bytes = new TextEncoder().encode(text.replace(/["\\\p{Cc}]/gu, "_"));
  return String.fromCharCode(...bytes);
}

// `data` are the files beside the model, { file } by the name that the model gives each.
export function storeModel(file, data = new Map()) {
  if (!data.size) return upload("/models", file);
  const form = new FormData();
  form.append("model", file, file.name);
  for (const [name, { file: weights }] of data) form.append("data", weights, name);
  return json("/models", { method: "POST", body: form });
}
export const storeImages = (file) => upload("/files", file);
