// A tile for each request: it waits, is in flight, and turns into its picture or its failure.

import { seconds, shortName } from "./format.js";
import { Viewer } from "./viewer.js";

const list = document.getElementById("tiles");
const none = document.getElementById("tiles-none");

function child(parent, tag, className) {
  const element = document.createElement(tag);
  element.className = className;
  parent.append(element);
  return element;
}

export class Tiles {
  #tiles = [];
  #flying = new Map();
  #colours;
  #viewer = new Viewer();

  constructor(colours) {
    this.#colours = colours;
  }

  clear() {
    this.#tiles = [];
    this.#flying.clear();
    list.replaceChildren();
    none.hidden = false;
  }

  show(runId, prompt, changed, shots) {
    none.hidden = true;
    for (const shot of changed) {
      const tile = (this.#tiles[shot.number] ??= this.#create(shot));
      this.#fill(tile, shot, `/api/run/${runId}/images/${shot.number}.png`, prompt);
    }
    this.#tiles.forEach((tile, number) => {
      tile.element.dataset.pod = this.#colours.of(shots[number].pod);
    });
  }

  // Counts up the time of those in flight.
  tick(now) {
    for (const [tile, started] of this.#flying) {
      tile.time.textContent = `${Math.max(0, now - started).toFixed(1)} s`;
    }
  }

  #create(shot) {
    const element = child(list, "li", "tile");
    const picture = child(element, "div", "picture");
    const number = child(picture, "span", "number");
    number.textContent = shot.number + 1;
    const caption = child(element, "div", "caption");
    const tile = { element, picture };
    tile.label = child(caption, "span", "label");
    tile.time = child(caption, "span", "time");
    tile.bar = child(element, "div", "bar");
    return tile;
  }

  #fill(tile, shot, source, prompt) {
    tile.element.dataset.state = shot.state;
    this.#flying.delete(tile);
    tile.time.textContent = "";
    tile.label.textContent = { waiting: "waiting", skipped: "not sent", "in-flight": "in flight" }[shot.state] ?? "";
    if (shot.state === "in-flight") this.#flying.set(tile, shot.started);
    if (shot.state === "failed") this.#fail(tile, shot);
    if (shot.state === "done") this.#finish(tile, shot, source, prompt);
  }

  #fail(tile, shot) {
    tile.label.textContent = "failed";
    tile.time.textContent = seconds(shot.ended - shot.started);
    child(tile.picture, "p", "reason").textContent = shot.reason;
    tile.element.title = shot.reason;
  }

  #finish(tile, shot, source, prompt) {
    const total = shot.ended - shot.started;
    const queued = shot.queued ?? 0;
    tile.label.textContent = shot.pod ? shortName(shot.pod) : "unknown pod";
    tile.label.title = shot.pod;
    tile.time.textContent = seconds(total);
    if (shot.queued !== null) {
      const share = Math.min(1, queued / total);
      tile.bar.style.setProperty("--queued", `${(share * 100).toFixed(1)}%`);
      tile.bar.dataset.told = "true";
      tile.bar.title = `${seconds(queued)} in the queue, ${seconds(shot.service ?? total - queued)} in service`;
    }
    const open = child(tile.picture, "button", "open");
    open.type = "button";
    const image = child(open, "img", "image");
    image.alt = `${prompt}, request ${shot.number + 1}, made by pod ${shot.pod || "unknown"}`;
    image.decoding = "async";
    image.src = source;
    open.addEventListener("click", () => this.#viewer.open(shot, source, prompt));
  }
}
