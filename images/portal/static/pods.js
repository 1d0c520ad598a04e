// The list of pods. One that is gone stays for a moment, so that its leaving is seen.

import { age, plural, shortName } from "./format.js";

const GONE_FOR = 4000;
const list = document.getElementById("pods");
const none = document.getElementById("pods-none");
const error = document.getElementById("pods-error");
const count = document.getElementById("pod-count");

function span(className, text = "") {
  const element = document.createElement("span");
  element.className = className;
  element.textContent = text;
  return element;
}

export class PodList {
  #rows = new Map();
  #colours;

  constructor(colours) {
    this.#colours = colours;
  }

  show({ pods, error: reason, forbidden }, shots) {
    error.hidden = !reason;
    error.textContent = forbidden
      ? `${reason} (403). The portal's ServiceAccount needs the right to list pods.`
      : reason;
    if (reason) {
      count.textContent = "";
      none.hidden = true;
      for (const name of [...this.#rows.keys()]) this.#remove(name);
      return;
    }
    for (const pod of pods) this.#row(pod);
    const names = new Set(pods.map((pod) => pod.name));
    for (const name of this.#rows.keys()) if (!names.has(name)) this.#leave(name);
    none.hidden = this.#rows.size > 0;
    count.textContent = pods.length > 0 ? pods.length : "";
    this.count(shots);
  }

  // How many pictures each pod has made.
  count(shots) {
    const made = new Map();
    for (const shot of shots) if (shot.state === "done") made.set(shot.pod, (made.get(shot.pod) ?? 0) + 1);
    for (const [name, row] of this.#rows) {
      row.element.dataset.pod = this.#colours.of(name);
      row.made.textContent = made.has(name) ? plural(made.get(name), "image") : "";
    }
  }

  tick() {
    for (const row of this.#rows.values()) if (row.pod) row.age.textContent = age(row.pod.created);
  }

  #row(pod) {
    const row = this.#rows.get(pod.name) ?? this.#create(pod);
    row.pod = pod;
    row.element.dataset.state = pod.state;
    row.state.textContent = pod.detail ? `${pod.state}: ${pod.detail}` : pod.state;
    row.age.textContent = age(pod.created);
  }

  #create(pod) {
    const element = document.createElement("li");
    element.title = pod.node ? `${pod.name} on ${pod.node}` : pod.name;
    const row = { element, pod, state: span("badge"), made: span("made"), age: span("age") };
    const name = span("name");
    name.append(span("short", shortName(pod.name)), span("full", pod.revision || pod.name));
    element.append(span("swatch"), name, row.state, row.made, row.age);
    list.append(element);
    this.#rows.set(pod.name, row);
    return row;
  }

  #leave(name) {
    const row = this.#rows.get(name);
    if (row.pod === null) return;
    row.pod = null;
    row.element.dataset.state = "gone";
    row.state.textContent = "gone";
    setTimeout(() => row.pod === null && this.#remove(name), GONE_FOR);
  }

  #remove(name) {
    this.#rows.get(name)?.element.remove();
    this.#rows.delete(name);
    none.hidden = this.#rows.size > 0 || !error.hidden;
  }
}
