// Counts, throughput and percentiles; a screen reader is told now and then.

import { plural, rate, seconds } from "./format.js";

const SPOKEN_EVERY = 5000;
const element = (id) => document.getElementById(id);
let spokenAt = 0;
let spoken = "";

export function showFigures(run) {
  element("done").textContent = run.done;
  element("of").textContent = ` of ${run.total}`;
  element("in-flight").textContent = run.in_flight;
  element("failed").textContent = run.failed;
  element("failed-figure").dataset.some = run.failed > 0;
  element("throughput").textContent = run.done ? rate(run.throughput) : "–";
  showElapsed(run.elapsed);
  for (const name of ["p50", "p90", "p95", "p99"]) element(name).textContent = seconds(run[name]);
  const progress = element("progress");
  progress.max = run.total;
  progress.value = run.done + run.failed;
  speak(run);
}

export function showElapsed(elapsed) {
  element("elapsed").textContent = seconds(elapsed);
}

function speak(run) {
  const over = run.status === "finished" || run.status === "stopped";
  const text = `${over ? `The test has ${run.status === "finished" ? "finished" : "been stopped"}. ` : ""}`
    + `${plural(run.done, "image")} of ${run.total}, ${plural(run.failed, "failure")}.`;
  if (text === spoken || (!over && Date.now() - spokenAt < SPOKEN_EVERY)) return;
  spoken = text;
  spokenAt = Date.now();
  element("announcer").textContent = text;
}
