// Tells on the start page whether the gateway and the route of the service are there.

import { askForGateway } from "./gateway.js";

askForGateway((gateway) => {
  document.getElementById("gateway").dataset.state = gateway.found ? "found" : "missing";
  document.getElementById("gateway-text").textContent = gateway.found
    ? `${gateway.host} through the gateway at ${gateway.address}`
    : gateway.reason;
});
