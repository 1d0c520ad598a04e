// Numbers and names as the pages write them.

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 10) return `${value.toFixed(2)} s`;
  if (value < 100) return `${value.toFixed(1)} s`;
  return `${Math.floor(value / 60)} m ${Math.round(value % 60)} s`;
}

export function rate(perSecond) {
  return perSecond >= 1 ? `${perSecond.toFixed(2)}/s` : `${(perSecond * 60).toFixed(1)}/min`;
}

export function age(created, now = Date.now()) {
  const passed = Math.max(0, Math.floor((now - Date.parse(created)) / 1000));
  if (Number.isNaN(passed)) return "";
  if (passed < 60) return `${passed} s`;
  if (passed < 3600) return `${Math.floor(passed / 60)} m ${passed % 60} s`;
  return `${Math.floor(passed / 3600)} h ${Math.floor((passed % 3600) / 60)} m`;
}

// The part of a pod's name that tells it from its siblings.
export function shortName(pod) {
  return pod.slice(pod.lastIndexOf("-") + 1);
}

export function plural(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}
