// Draws the charts of a service from the columns the server sends, in the colours of the style sheet.

const HEIGHT = 190;
const SYNC = "service";
const COLUMNS = ["time", "2xx", "3xx", "4xx", "5xx", "none", "success", "p50", "p90", "p95", "p99",
  "in_flight", "queued", "held", "desired", "ready", "wait50", "wait95"];

const seconds = (value) => (value == null ? "–" : value < 0.01 ? `${(value * 1000).toFixed(1)} ms`
  : value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(value < 10 ? 2 : 1)} s`);
const count = (value) => (value == null ? "–" : `${value}`);
const rate = (value) => (value == null ? "–" : value >= 100 ? value.toFixed(0) : `${+value.toFixed(2)}`);
const percent = (value) => (value == null ? "–" : `${+(value * 100).toFixed(2)} %`);

const clock = (time) => new Date(time * 1000).toLocaleTimeString([], {
  hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(time % 60 ? { second: "2-digit" } : {}),
});

const line = (column, label, colour, more = {}) => ({ column, label, colour, ...more });
const CHARTS = {
  requests: {
    format: rate, floor: 1, stack: true,
    lines: [line("2xx", "2xx", "--good"), line("3xx", "3xx", "--blue"), line("4xx", "4xx", "--busy"),
      line("5xx", "5xx", "--bad"), line("none", "no answer", "--calm")],
  },
  latency: {
    format: seconds, floor: 0.01, dots: true,
    lines: [line("p50", "P50", "--good"), line("p90", "P90", "--blue"), line("p95", "P95", "--busy"), line("p99", "P99", "--flight")],
  },
  concurrency: {
    format: count, floor: 4, stack: true, whole: true, stepped: true,
    lines: [line("in_flight", "in flight", "--good"), line("queued", "queued", "--busy"), line("held", "held, no pod", "--flight")],
  },
  pods: {
    format: count, floor: 4, whole: true, stepped: true,
    lines: [line("ready", "ready", "--good", { fill: true }), line("desired", "wanted", "--flight", { dash: [5, 4] })],
  },
  success: { format: percent, range: (_, low) => [[0.99, 0.9, 0.5, 0].find((floor) => floor <= (low ?? 1)), 1], dots: true, lines: [line("success", "success", "--good")] },
  wait: { format: seconds, floor: 0.01, dots: true, lines: [line("wait50", "P50", "--good"), line("wait95", "P95", "--flight")] },
};

const style = () => getComputedStyle(document.documentElement);
const colourOf = (name) => style().getPropertyValue(name).trim();

// Areas that lie upon one another: each line is drawn at the sum of those before it, where it has
// anything of its own.
function stacked(columns) {
  const below = columns[0].map(() => 0);
  return columns.map((column, index) => column.map((value, row) => {
    below[row] += value ?? 0;
    return value || index === 0 ? below[row] : null;
  }));
}

class Chart {
  constructor(figure, spec) {
    this.spec = spec;
    this.figure = figure;
    this.caption = figure.querySelector("figcaption").textContent;
    this.raw = spec.lines.map(() => []);
    const place = document.createElement("div");
    place.className = "plot";
    place.setAttribute("role", "img");
    figure.append(place);
    this.place = place;
    this.plot = new uPlot(this.options(), [[], ...this.raw], place);
    new ResizeObserver(() => this.plot.setSize({ width: place.clientWidth, height: HEIGHT })).observe(place);
  }

  options() {
    const { spec } = this;
    const axis = {
      stroke: () => colourOf("--muted"), grid: { stroke: () => colourOf("--line"), width: 1 },
      ticks: { show: false }, font: "12px system-ui, sans-serif",
    };
    const paths = spec.stepped ? uPlot.paths.stepped({ align: 1 }) : undefined;
    const range = spec.range ?? ((_, __, high) => [0, Math.max((high ?? 0) * 1.12, spec.floor)]);
    return {
      width: this.place.clientWidth || 300,
      height: HEIGHT,
      padding: [10, 12, 0, 0],
      cursor: { sync: { key: SYNC }, drag: { x: false, y: false }, points: { show: false }, y: false },
      legend: { live: true },
      scales: { x: { time: true }, y: { range } },
      axes: [
        { ...axis, size: 28, space: 80, values: (_, ticks) => ticks.map(clock) },
        { ...axis, size: 54, space: 34, values: (_, ticks) => ticks.map(spec.format),
          ...(spec.whole ? { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] } : {}) },
      ],
      series: [
        { label: "at", value: (_, time) => (time == null ? "now" : clock(time)) },
        ...spec.lines.map((item, index) => this.series(item, index, paths)),
      ],
      bands: spec.stack ? spec.lines.slice(1).map((_, index) => ({ series: [index + 2, index + 1] })) : [],
    };
  }

  series(item, index, paths) {
    const { spec } = this;
    return {
      label: item.label,
      stroke: () => colourOf(item.colour),
      fill: spec.stack || item.fill ? () => `${colourOf(item.colour)}38` : undefined,
      width: 1.75, dash: item.dash, paths, spanGaps: false,
      points: { show: Boolean(spec.dots), size: 3.5 },
      value: (_, __, ___, row) => spec.format(this.raw[index][row ?? this.raw[index].length - 1]),
    };
  }

  show(data) {
    this.raw = this.spec.lines.map((item) => data[item.column]);
    const drawn = this.spec.stack ? stacked(this.raw) : this.raw;
    this.plot.setData([data.time, ...drawn]);
    if (this.plot.cursor.idx == null) this.plot.setLegend({ idx: data.time.length - 1 });
    const latest = this.spec.lines.map((item, index) => `${item.label} ${this.spec.format(this.raw[index].at(-1))}`);
    this.place.setAttribute("aria-label", `${this.caption}. Latest: ${latest.join(", ")}`);
  }
}

const charts = [...document.querySelectorAll("[data-chart]")].map((figure) => new Chart(figure, CHARTS[figure.dataset.chart]));
let data = Object.fromEntries(COLUMNS.map((name) => [name, []]));

// What comes replaces the points from its first time on, and the oldest give way.
function take({ reset, keep, columns }) {
  const first = columns.time[0];
  const known = reset ? 0 : data.time.filter((time) => time < first).length;
  for (const name of COLUMNS) {
    data[name] = [...data[name].slice(0, known), ...columns[name]].slice(-keep);
  }
  for (const chart of charts) chart.show(data);
}

document.getElementById("live").addEventListener("series", (event) => take(JSON.parse(event.detail.data)));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const chart of charts) chart.plot.redraw();
});
