// Tells on the start page whether the gateway and the route of the service are there.

const status = document.getElementById("gateway");
const text = document.getElementById("gateway-text");

async function ask() {
  try {
    const gateway = await (await fetch("/api/gateway")).json();
    status.dataset.state = gateway.found ? "found" : "missing";
    text.textContent = gateway.found ? `${gateway.host} through the gateway at ${gateway.address}` : gateway.reason;
    if (!gateway.found) setTimeout(ask, 5000);
  } catch {
    status.dataset.state = "missing";
    text.textContent = "The portal does not answer.";
    setTimeout(ask, 5000);
  }
}

ask();
