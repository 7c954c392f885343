// How long a job still takes, from how fast it went so far. Pure but for the clock.

import { duration } from "/page/format.js";

const SOON = 1500; // milliseconds of measuring before which an estimate is a guess

// Answers words such as "about 40 s left", or nothing, for each state of one job.
export function estimator() {
  let first = null;
  return ({ status, stage, progress }) => {
    if (status !== "running" || stage !== "measure") return "";
    const now = performance.now();
    if (!first || progress < first.progress) first = { now, progress };
    const [elapsed, done] = [now - first.now, progress - first.progress];
    if (elapsed < SOON || done <= 0) return "";
    return `about ${duration(Math.max(1, Math.round(((1 - progress) * elapsed) / done / 1000)))} left`;
  };
}
