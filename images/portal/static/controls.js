// The form: starts and stops a run, and shows the settings of the run in work.

const form = document.getElementById("form");
const start = document.getElementById("start");
const stop = document.getElementById("stop");
const error = document.getElementById("form-error");
const inputs = ["prompt", "concurrency", "total"].map((name) => form.elements[name]);

function post(path, body) {
  return fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

export class Controls {
  #status = null;
  #id = null;

  constructor() {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#start();
    });
    stop.addEventListener("click", () => this.#send("/api/run/stop", { now: this.#status === "stopping" }));
  }

  show(run) {
    if (run.id !== this.#id) {
      this.#id = run.id;
      for (const input of inputs) input.value = run[input.name];
    }
    if (run.status === this.#status) return;
    this.#status = run.status;
    const active = run.status === "running" || run.status === "stopping";
    const focused = document.activeElement === start || document.activeElement === stop;
    start.hidden = active;
    stop.hidden = !active;
    stop.textContent = run.status === "stopping" ? "Drop those in flight" : "Stop";
    for (const input of inputs) input.disabled = active;
    if (focused) (active ? stop : start).focus();
  }

  async #start() {
    const body = {
      prompt: form.elements.prompt.value,
      concurrency: form.elements.concurrency.valueAsNumber,
      total: form.elements.total.valueAsNumber,
    };
    start.disabled = true;
    await this.#send("/api/run", body);
    start.disabled = false;
  }

  async #send(path, body) {
    this.#complain(null);
    try {
      const response = await post(path, body);
      if (!response.ok) this.#complain(await response.json());
    } catch {
      this.#complain({ error: "The portal does not answer." });
    }
  }

  #complain(refusal) {
    for (const input of inputs) {
      input.removeAttribute("aria-invalid");
      input.removeAttribute("aria-describedby");
    }
    error.hidden = refusal === null;
    if (refusal === null) return;
    const field = refusal.field && form.elements[refusal.field];
    if (field) {
      field.setAttribute("aria-invalid", "true");
      field.setAttribute("aria-describedby", error.id);
      field.focus();
    }
    error.textContent = field ? `${field.labels[0].firstChild.textContent.trim()}: ${refusal.error}` : refusal.error;
  }
}
