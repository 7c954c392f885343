// The card of any work (a measurement, a question, a series): its name and state, its progress, its failure, its body.

import * as api from "/page/api.js";
import { announce, button, h } from "/page/dom.js";
import { ENDED } from "/page/events.js";
import { clock, duration } from "/page/format.js";
import { complain } from "/page/problem.js";

// Shows `work` in `host`. `words` and `stage` tell of its state, `content` gives the body of one that has a result.
// Returns { update, fail }.
export function card(host, work, { title, label, tools = [], words = () => "", stage = () => "", content }) {
  const subtitle = h("p", { className: "muted" });
  const state = h("span", { className: "state" });
  const cancel = button("Cancel", () => api.json(work.links.self, { method: "DELETE" }).then(update, fail));
  const copy = button("Copy link", () => copyLink(copy));
  const bar = h("progress", { max: 1, aria: { label: "Progress" } });
  const told = h("p", { className: "muted tabular" });
  const running = h("div", { className: "running" }, bar, told);
  const problem = h("div", { className: "problem", aria: { role: "alert" }, hidden: true });
  const body = h("div");
  const heading = h("div", {}, h("h2", { textContent: title, tabIndex: -1 }), subtitle);
  const toolbar = h("div", { className: "toolbar" }, state, cancel, copy, ...tools);
  const head = h("div", { className: "title" }, heading, toolbar);
  host.replaceChildren(h("article", { className: "card", aria: { label } }, head, running, problem, body));

  let status = null;
  let note = "";
  function update(now) {
    subtitle.textContent = [words(now), clock(now.created_at), took(now)].filter(Boolean).join(" · ");
    state.textContent = now.cached ? `${now.status}, from the store` : now.status;
    state.dataset.state = now.status;
    cancel.hidden = running.hidden = ENDED.has(now.status);
    bar.value = now.progress;
    note = now.note || note; // events do not repeat it
    told.textContent = now.status === "queued" ? note || "waiting for a worker" : stage(now);
    const shown = content(now, now.status !== status);
    if (shown && shown !== body.firstChild) body.replaceChildren(shown);
    if (now.status === status) return;
    status = now.status;
    announce(`${title}: ${status}`);
    if (now.error) complain(problem, now.error);
    if (status === "canceled" && !shown)
      body.replaceChildren(h("p", { className: "muted", textContent: "Canceled before it was finished." }));
  }
  const fail = (error) => complain(problem, error);
  update(work);
  return { update, fail };
}

export async function copyLink(made) {
  await navigator.clipboard.writeText(location.href).then(
    () => (made.textContent = "Copied"),
    () => (made.textContent = "Copy the address bar"),
  );
  setTimeout(() => (made.textContent = "Copy link"), 2000);
}

const took = ({ timing }) => (timing?.seconds ? `took ${duration(timing.seconds)}` : "");
