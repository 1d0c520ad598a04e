// The page's behaviour. All addresses are relative, so that it works behind any prefix and port.
"use strict";

const element = (id) => document.getElementById(id);
const STORE = "stable-diffusion-gallery";
const KEEP = 24;
let running = null; // the AbortController of the picture in work

async function start(event) {
  event.preventDefault();
  if (running) return;
  running = new AbortController();
  setBusy(true);
  say("Waiting for the model\u2026");
  const began = performance.now();
  try {
    const answer = await fetch("generate", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(asked()),
      signal: running.signal,
    });
    if (!answer.ok) throw new Error(await reason(answer));
    let finished = false;
    for await (const line of lines(answer.body)) finished = show(line, began) || finished;
    if (!finished) throw new Error("The connection ended before the picture was done.");
  } catch (error) {
    if (error.name === "AbortError") say("Stopped.");
    else say(error.message, true);
  } finally {
    running = null;
    setBusy(false);
  }
}

function asked() {
  const numbers = ["steps", "width", "height", "seed", "cfg_scale"];
  const fields = Object.fromEntries(new FormData(element("form")));
  for (const name of numbers) fields[name] = Number(fields[name]);
  return fields;
}

async function reason(answer) {
  try {
    const detail = (await answer.json()).detail;
    return describe(detail);
  } catch {
    return `The server answered ${answer.status}.`;
  }
}

function describe(detail) {
  if (!Array.isArray(detail)) return String(detail);
  return detail.map((d) => `${(d.loc || []).slice(1).join(".")}: ${d.msg}`).join("; ");
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) if (part) yield JSON.parse(part);
  }
}

// True once the stream has said that it is complete.
function show(event, began) {
  if (event.type === "error") throw new Error(describe(event.detail));
  if (event.type === "progress") {
    element("bar").value = event.progress;
    if (event.preview) picture(`data:image/png;base64,${event.preview}`);
    if (event.steps) say(`Step ${event.step} of ${event.steps}${event.eta ? `, about ${event.eta.toFixed(1)} s to go` : ""}`);
  } else if (event.type === "image") {
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const made = { url: `data:image/png;base64,${event.image}`, infotext: event.infotext, seed: event.seed };
    element("bar").value = 1;
    present(made);
    say(`Made in ${event.seconds.toFixed(1)} s by ${event.pod} (${seconds} s in all)`);
    remember(made);
  }
  return event.type === "done";
}

function picture(url) {
  element("picture").src = url;
  element("picture").hidden = false;
  element("empty").hidden = true;
}

function present(made) {
  picture(made.url);
  element("picture").alt = made.infotext.split("\n")[0];
  element("infotext").textContent = made.infotext;
  element("infotext").hidden = false;
  const link = element("download");
  link.href = made.url;
  link.download = `${made.seed}.png`;
  link.hidden = false;
}

function say(text, bad = false) {
  element("status").textContent = text;
  element("status").classList.toggle("bad", bad);
}

function setBusy(busy) {
  element("go").disabled = busy;
  element("stop").disabled = !busy;
  if (busy) element("bar").value = 0;
}

// The gallery lives in the tab: pods come and go, and keep nothing.
function gallery() {
  try {
    return JSON.parse(sessionStorage.getItem(STORE)) || [];
  } catch {
    return [];
  }
}

function remember(made) {
  let kept = [made, ...gallery()].slice(0, KEEP);
  // The browser's room is limited; the oldest pictures give way.
  while (kept.length) {
    try {
      sessionStorage.setItem(STORE, JSON.stringify(kept));
      break;
    } catch {
      kept = kept.slice(0, -1);
    }
  }
  drawGallery(kept.length ? kept : [made]);
}

function drawGallery(kept) {
  document.querySelector(".gallery").hidden = kept.length === 0;
  element("gallery").replaceChildren(
    ...kept.map((made) => {
      const button = document.createElement("button");
      const image = document.createElement("img");
      image.src = made.url;
      image.alt = made.infotext.split("\n")[0];
      button.type = "button";
      button.title = image.alt;
      button.append(image);
      button.addEventListener("click", () => present(made));
      return button;
    }),
  );
}

async function loadSamplers() {
  const list = await (await fetch("sdapi/v1/samplers")).json();
  element("sampler").replaceChildren(...list.map((s) => new Option(s.name)));
}

element("form").addEventListener("submit", start);
element("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) start(event);
});
element("stop").addEventListener("click", () => running && running.abort());
element("clear").addEventListener("click", () => {
  sessionStorage.removeItem(STORE);
  drawGallery([]);
});
drawGallery(gallery());
loadSamplers().catch(() => element("sampler").replaceChildren(new Option("DPM++ 2M")));
