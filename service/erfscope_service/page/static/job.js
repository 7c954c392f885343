// One measurement: followed while it runs, its result when it has ended.

import { card } from "/page/card.js";
import { button } from "/page/dom.js";
import { estimator } from "/page/estimate.js";
import { ENDED, follow } from "/page/events.js";
import { targetWords, unitName } from "/page/format.js";
import { result } from "/page/result.js";

const STAGES = { load: "reading the model", trace: "following its graph", measure: "measuring", render: "drawing" };

// Shows a job in `host` and follows it; returns what stops that. `actions`: { reuse, changed }.
export function showJob(host, job, actions) {
  const again = button("Edit and repeat", () => actions.reuse(job).catch((error) => fail(error)));
  const estimate = estimator();
  let status = job.status;
  const { update, fail } = card(host, job, {
    title: job.model.name,
    label: `Measurement of ${job.model.name}`,
    tools: [again],
    words,
    stage: (now) => [progressWords(now), estimate(now)].filter(Boolean).join(", "),
    content: (now, isNew) => (isNew && now.result ? result(now) : null),
  });
  if (ENDED.has(job.status)) return () => {};
  return follow(
    job,
    (now) => {
      update(now);
      if (now.status !== status) actions.changed();
      status = now.status;
    },
    fail,
  );
}

function words({ request, result: measured }) {
  if (!measured) return targetWords(request.target);
  return `${measured.layer.name} · unit ${unitName(measured.unit)} · input ${measured.input_shape.join(" × ")}`;
}

const progressWords = ({ stage, progress, attempt }) =>
  `${STAGES[stage] ?? stage}, ${Math.round(100 * progress)} %${attempt > 1 ? `, attempt ${attempt}` : ""}`;
