// Asks whether the gateway and the route of the service are there, until they are.

const AGAIN_AFTER = 5000;

// Calls `show` with { found, host, address } or { found: false, reason }.
export async function askForGateway(show) {
  let gateway = { found: false, reason: "The portal does not answer." };
  try {
    gateway = await (await fetch("/api/gateway")).json();
  } catch {
    // Shown as the reason, and asked again.
  }
  show(gateway);
  if (!gateway.found) setTimeout(() => askForGateway(show), AGAIN_AFTER);
}
