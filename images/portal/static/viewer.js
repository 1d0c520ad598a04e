// One picture in full size with all that is known of its request.

import { seconds } from "./format.js";

const dialog = document.getElementById("viewer");
const image = document.getElementById("viewer-image");
const title = document.getElementById("viewer-title");
const facts = document.getElementById("viewer-facts");

export class Viewer {
  constructor() {
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close();
    });
  }

  open(shot, source, prompt) {
    const total = shot.ended - shot.started;
    image.src = source;
    image.alt = prompt;
    title.textContent = prompt;
    const rows = [
      ["Request", shot.number + 1],
      ["Seed", shot.seed],
      ["Pod", shot.pod || "unknown"],
      ["Sent", `${seconds(shot.started)} after the start`],
      ["Took", seconds(total)],
    ];
    if (shot.queued !== null) {
      rows.push(["In the queue", seconds(shot.queued)]);
      rows.push(["In service", seconds(shot.service ?? total - shot.queued)]);
    }
    facts.replaceChildren(...rows.flatMap(([name, value]) => {
      const term = document.createElement("dt");
      const description = document.createElement("dd");
      term.textContent = name;
      description.textContent = value;
      return [term, description];
    }));
    dialog.showModal();
  }
}
