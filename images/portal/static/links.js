// The service's own page is on another port of the host by which the browser knows the portal.

for (const link of document.querySelectorAll("[data-service-page]")) {
  const target = link.dataset.servicePage;
  if (target.startsWith(":")) link.href = `${location.protocol}//${location.hostname}${target}`;
}
