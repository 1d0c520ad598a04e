// Requests in flight and pods over time, drawn by uPlot in the colours of the style sheet.

const HEIGHT = 220;
const MOST_POINTS = 2400;
const COLUMNS = 4;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class Chart {
  #data = Array.from({ length: COLUMNS }, () => []);
  #plot;

  constructor(element) {
    this.#plot = new uPlot(options(element), this.#data, element);
    new ResizeObserver(() => this.#plot.setSize({ width: element.clientWidth, height: HEIGHT })).observe(element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#plot.redraw());
  }

  clear() {
    this.#data = this.#data.map(() => []);
    this.#plot.setData(this.#data);
  }

  add(samples) {
    if (samples.length === 0) return;
    for (const sample of samples) sample.forEach((value, column) => this.#data[column].push(value));
    if (this.#data[0].length > MOST_POINTS) {
      this.#data = this.#data.map((column) => column.filter((_, row) => row % 2 === 0));
    }
    this.#plot.setData(this.#data);
  }
}

function options(element) {
  const stepped = uPlot.paths.stepped({ align: 1 });
  const series = (label, name, more = {}) => ({
    label, stroke: () => colour(name), width: 2, paths: stepped, points: { show: false }, ...more,
  });
  const axis = {
    stroke: () => colour("--muted"),
    grid: { stroke: () => colour("--line"), width: 1 },
    ticks: { show: false },
    font: "12px system-ui, sans-serif",
  };
  return {
    width: element.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    padding: [12, 18, 0, 0],
    scales: {
      x: { time: false, range: (_, __, high) => [0, Math.max(high ?? 0, 10)] },
      y: { range: (_, __, high) => [0, Math.max(high ?? 0, 4) + 1] },
    },
    axes: [
      { ...axis, size: 30, values: (_, ticks) => ticks.map((tick) => `${tick} s`) },
      { ...axis, size: 34, incrs: [1, 2, 5, 10, 20, 50, 100] },
    ],
    series: [
      {},
      series("requests in flight", "--flight", { fill: () => colour("--flight-fill") }),
      series("pods ready", "--ready", { width: 3 }),
      series("pods starting", "--starting", { dash: [4, 4] }),
    ],
  };
}
