// Follows a container's output; keeps the last lines, and the end in view unless told otherwise.

const MOST_LINES = 5000;

const log = document.getElementById("log");
const follow = document.getElementById("follow");
const end = document.getElementById("log-end");
const source = new EventSource(log.dataset.live);

const toEnd = () => {
  if (follow.checked) log.scrollTop = log.scrollHeight;
};

// A new connection begins with the last lines again.
source.addEventListener("open", () => log.replaceChildren());
source.addEventListener("lines", (event) => {
  const lines = event.data.split("\n").map((text) => {
    const line = document.createElement("span");
    line.textContent = `${text}\n`;
    return line;
  });
  log.append(...lines);
  for (let extra = log.childElementCount - MOST_LINES; extra > 0; extra -= 1) log.firstChild.remove();
  toEnd();
});
source.addEventListener("end", (event) => {
  source.close();
  end.textContent = event.data;
});
source.addEventListener("error", () => {
  if (source.readyState === EventSource.CLOSED) end.textContent = "The connection was refused: reload the page.";
});
follow.addEventListener("change", toEnd);
log.addEventListener("wheel", (event) => {
  if (event.deltaY < 0) follow.checked = false;
}, { passive: true });
