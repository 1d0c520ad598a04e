// The pressure test: keeps what the server tells of the run and has the parts show it.

import { Chart } from "./chart.js";
import { PodColours } from "./colours.js";
import { Controls } from "./controls.js";
import { showElapsed, showFigures } from "./figures.js";
import { askForGateway } from "./gateway.js";
import { PodList } from "./pods.js";
import { Tiles } from "./tiles.js";

const colours = new PodColours();
const controls = new Controls();
const chart = new Chart(document.getElementById("chart"));
const pods = new PodList(colours);
const tiles = new Tiles(colours);
const notice = document.getElementById("notice");

let runId = null;
let shots = [];
// The server's time of the run minus this page's, in seconds.
let offset = 0;
let active = false;

function clear() {
  runId = null;
  shots = [];
  active = false;
  chart.clear();
  tiles.clear();
}

function take(message) {
  if (message.run) takeRun(message.run, message.shots, message.samples);
  if (message.pods) pods.show(message.pods, shots);
}

function takeRun(run, changed, samples) {
  if (run.id !== runId) {
    clear();
    runId = run.id;
  }
  offset = run.now - performance.now() / 1000;
  active = run.status === "running" || run.status === "stopping";
  for (const shot of changed) shots[shot.number] = shot;
  if (changed.length > 0) {
    colours.update(shots);
    tiles.show(runId, run.prompt, changed, shots);
    pods.count(shots);
  }
  chart.add(samples);
  showFigures(run);
  controls.show(run);
}

const source = new EventSource("/api/events");
source.onopen = () => {
  notice.hidden = true;
  clear();
};
source.onmessage = (event) => take(JSON.parse(event.data));
source.onerror = () => {
  notice.textContent = "The connection to the portal is lost. Trying again…";
  notice.hidden = false;
};

askForGateway((gateway) => {
  const element = document.getElementById("gateway-notice");
  element.hidden = gateway.found;
  element.textContent = gateway.reason ?? "";
  // What has no route yet does not sleep: no request would wake it.
  const none = document.getElementById("pods-none");
  none.textContent = gateway.found ? none.dataset.asleep : "No pods";
});

setInterval(() => {
  if (!active) return;
  const now = performance.now() / 1000 + offset;
  tiles.tick(now);
  showElapsed(now);
}, 100);
setInterval(() => pods.tick(), 1000);
