// Says whether the page is live, so that old numbers are not taken for new ones.

const place = document.getElementById("link-state");

let since = "";

const show = (state, text) => {
  if (state === "live") since = "";
  else since ||= new Date().toLocaleTimeString();
  place.dataset.state = state;
  place.textContent = since ? `${text}: all is as of ${since}` : text;
};

document.addEventListener("htmx:sse:after:connection", () => show("live", "Live"));
document.addEventListener("htmx:sse:error", (event) => {
  const status = event.detail.status;
  if (status === 401) location.reload();
  else show("lost", status === 429 ? "Too many pages are open" : "Connection lost, trying again");
});
document.addEventListener("htmx:sse:close", () => show("lost", "Not live, reload the page"));
document.addEventListener("htmx:after:request", (event) => {
  const status = event.detail.ctx?.response?.status;
  if (status === 429) show("lost", "Too many pages are open, close one and reload");
});
