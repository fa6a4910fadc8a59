// Draws the charts of a page from the figures in it. Whatever is text goes in as text.
(() => {
  "use strict";
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const FONT = "12px system-ui, sans-serif";
  const COLOURS = 7;

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const colourOf = (series, index) => colour(series[index].label === "the rest" ? "rest" : `c${index % COLOURS}`);
  const short = (text) => (text.length > 34 ? `${text.slice(0, 33)}…` : text);

  /** USD, by as many digits as tell amounts apart. */
  const usd = (value) => {
    if (value == null) return "";
    const digits = value === 0 || value >= 100 ? 0 : value >= 1 ? 2 : Math.min(9, 2 - Math.floor(Math.log10(value)));
    return value.toLocaleString("en-US", { minimumFractionDigits: Math.min(2, digits), maximumFractionDigits: digits });
  };
  const whole = (value) => (value == null ? "" : value.toLocaleString("en-US"));
  const sum = (values) => values.reduce((all, value) => all + value, 0);

  const axis = (label, more) => ({
    label,
    labelFont: FONT,
    labelSize: 22,
    font: FONT,
    stroke: colour("ink"),
    grid: { stroke: colour("line"), width: 1 },
    ticks: { stroke: colour("line"), width: 1 },
    ...more,
  });
  /** As wide as its widest label. */
  const fitted = (u, values) => {
    if (!values) return 50;
    u.ctx.save();
    u.ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
    const width = Math.max(...values.map((value) => u.ctx.measureText(value).width));
    u.ctx.restore();
    return Math.ceil(width / devicePixelRatio) + 18;
  };
  const amounts = (show) => ({ values: (u, ticks) => ticks.map(show), size: fitted });
  const fromZero = (u, min, max) => [0, (max > 0 ? max : 1) * 1.08];
  const draw = (place, options, data) =>
    new uPlot(
      {
        width: place.clientWidth,
        height: place.clientWidth < 500 ? 260 : 320,
        ...options,
        padding: [12, 32, 0, 0],
        cursor: { drag: { x: false, y: false }, points: { show: false }, bind: { click: () => null }, ...options.cursor },
      },
      data,
      place,
    );

  /** Bars on bars: each series is drawn as the sum of those below it, the highest first. */
  const stacked = (place, { xs, series, x, xAxis, yAxis, told, show }) => {
    const below = new Array(xs.length).fill(0);
    const sums = series.map(({ values }) => values.map((value, at) => (below[at] += value)));
    const layers = series.map((one, index) => ({
      label: short(one.label),
      fill: colourOf(series, index),
      width: 0,
      points: { show: false },
      paths: uPlot.paths.bars({ size: [0.86, 64] }),
      value: (u, value, own, at) => show(at == null ? sum(one.values) : one.values[at]),
    }));
    const options = {
      scales: { x, y: { range: fromZero } },
      axes: [xAxis, yAxis],
      series: [{ label: told.label, value: told.value }, ...layers.reverse()],
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
    };
    return draw(place, options, [xs, ...sums.reverse()]);
  };

  const day = (at) => new Date(at * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
  /** Days, or times of day with the day where it changes. */
  const days = (u, ticks, own, space, step) =>
    ticks.map((at, index) => {
      if (step >= 86400) return day(at);
      const hour = new Date(at * 1000).toISOString().slice(11, step < 60 ? 19 : 16);
      return index > 0 && day(at) === day(ticks[index - 1]) ? hour : `${hour}\n${day(at)}`;
    });

  const time = (place) => {
    const { starts, slot_ms: slot, series } = figures.time;
    if (!starts.length || !sum(series.flatMap((one) => one.values))) return null;
    const xs = starts.map((start) => (start + slot / 2) / 1000);
    const named = (at) => new Date(starts[at]).toISOString().replace("T", " ").slice(0, slot < 60000 ? 19 : 16);
    return stacked(place, {
      xs,
      series,
      x: { time: true, range: [starts[0] / 1000, (starts.at(-1) + slot) / 1000] },
      // Of less than a second there would be ticks that read alike.
      xAxis: axis("time, UTC", { space: 70, values: days, ...(slot < 60000 && { incrs: [1, 5, 10, 30, 60, 300, 900] }) }),
      yAxis: axis("USD", amounts(usd)),
      told: { label: "from", value: (u, value, own, at) => (at == null ? "in all" : named(at)) },
      show: usd,
    });
  };

  const kinds = (place) => {
    const { edges, series } = figures.kinds;
    if (!edges.length) return null;
    const every = Math.ceil((edges.length * 54) / Math.max(place.clientWidth - 80, 54));
    const marked = edges.map((edge, at) => at).filter((at) => at % every === 0);
    const named = (at) => (at === 0 ? `below ${usd(edges[0])}` : `${usd(edges[at - 1])} to ${usd(edges[at])}`);
    return stacked(place, {
      xs: edges.map((edge, at) => at),
      series,
      x: { time: false, range: [-0.5, edges.length - 0.5] },
      xAxis: axis("cost of a run, USD", {
        splits: () => marked.map((at) => at + 0.5),
        values: () => marked.map((at) => usd(edges[at])),
        filter: (u, splits) => splits,
      }),
      yAxis: axis("runs", { ...amounts(whole), incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1e5, 1e6] }),
      told: { label: "cost, USD", value: (u, value, own, at) => (at == null ? "in all" : named(at)) },
      show: whole,
    });
  };

  let picked = 0;
  const course = (place) => {
    const { courses } = figures;
    if (!courses.length) return null;
    const { calls, usd: spent, limits } = courses[picked];
    // A limit far above would press the line flat; it is told and not drawn.
    const near = limits.filter((limit) => limit.usd <= spent.at(-1) * 10);
    const far = limits.filter((limit) => !near.includes(limit));
    const left = (rest) => (rest < 0 ? `passed by ${usd(-rest)}` : `${usd(rest)} left`);
    const named = (limit) => `${limit.hard ? "limit" : "soft limit"} ${usd(limit.usd)}`;
    const lines = near.map((limit) => ({
      label: named(limit),
      stroke: colour(limit.hard ? "bad" : "warn"),
      width: 2,
      dash: [6, 4],
      points: { show: false },
      value: (u, value, own, at) => left(limit.usd - (at == null ? spent.at(-1) : at && spent[at - 1])),
    }));
    const own = {
      label: ["spent", ...far.map((limit) => `(${named(limit)}, above the chart)`)].join(" "),
      stroke: colour("c0"),
      fill: `${colour("c0")}22`,
      width: 2,
      paths: uPlot.paths.stepped({ align: 1 }),
      points: { show: calls.length <= 60, size: 5, fill: colour("c0") },
      value: (u, value) => usd(value ?? spent.at(-1)),
    };
    const options = {
      scales: { x: { time: false, range: [0, calls.at(-1) * 1.02] }, y: { range: fromZero } },
      axes: [
        axis("calls", { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1e5, 1e6] }),
        axis("USD", amounts(usd)),
      ],
      series: [{ label: "after call", value: (u, value) => whole(value ?? calls.at(-1)) }, own, ...lines],
    };
    const flat = near.map((limit) => [limit.usd, ...calls.map(() => limit.usd)]);
    return draw(place, options, [[0, ...calls], [0, ...spent], ...flat]);
  };

  /** What was settled, what was wasted of it, one kind below the other, and what is left. */
  const waste = (place) => {
    const { settled, kinds: wasted } = figures.waste;
    if (!wasted.length) return null;
    const rows = [{ label: "settled", from: 0, to: settled, fill: colour("rest") }];
    for (const kind of wasted) {
      const to = rows.at(-1).label === "settled" ? settled : rows.at(-1).from;
      rows.push({ label: kind.label, from: Math.max(0, to - kind.usd), to, fill: colour("bad"), usd: kind.usd });
    }
    rows.push({ label: "all else", from: 0, to: rows.at(-1).from, fill: colour("good") });
    const pick = (key) => rows.map((row) => row[key]);
    const disp = {
      y0: { unit: 1, values: () => pick("from") },
      y1: { unit: 1, values: () => pick("to") },
      fill: { unit: 3, values: () => pick("fill") },
    };
    const figuresOf = (u) => {
      u.ctx.save();
      u.ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
      u.ctx.fillStyle = colour("ink");
      u.ctx.textAlign = "left";
      u.ctx.textBaseline = "middle";
      rows.forEach((row, at) => {
        const label = usd(row.usd ?? row.to);
        const end = u.valToPos(row.to, "y", true) + 6 * devicePixelRatio;
        u.ctx.fillText(label, end, u.valToPos(at, "x", true));
      });
      u.ctx.restore();
    };
    const options = {
      height: 60 + rows.length * 34,
      cursor: { show: false },
      legend: { show: false },
      scales: {
        x: { time: false, ori: 1, dir: -1, range: [-0.6, rows.length - 0.4] },
        y: { ori: 0, range: [0, settled * (place.clientWidth < 500 ? 1.35 : 1.14)] },
      },
      axes: [
        axis(null, {
          side: 3,
          splits: () => rows.map((row, at) => at),
          values: () => pick("label"),
          filter: (u, splits) => splits,
          size: fitted,
          grid: { show: false },
        }),
        axis("USD", { side: 2, values: (u, ticks) => ticks.map(usd), space: 70 }),
      ],
      series: [{}, { paths: uPlot.paths.bars({ size: [0.62, 40], disp }), width: 0, points: { show: false } }],
      hooks: { draw: [figuresOf] },
    };
    return draw(place, options, [rows.map((row, at) => at), pick("to")]);
  };

  const charts = { time, course, kinds, waste };
  const drawn = {};
  const redraw = (id) => {
    const place = document.getElementById(id);
    drawn[id]?.destroy();
    drawn[id] = charts[id](place);
    place.hidden = drawn[id] == null;
  };
  const redrawAll = () => Object.keys(charts).forEach(redraw);

  const pick = document.getElementById("pick");
  const choice = pick.querySelector("select");
  figures.courses.forEach((one, at) => choice.add(new Option(short(one.label), String(at))));
  pick.hidden = figures.courses.length < 2;
  choice.addEventListener("change", () => {
    picked = Number(choice.value);
    redraw("course");
  });

  redrawAll();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) requestAnimationFrame(redrawAll);
    width = innerWidth;
  });
})();
