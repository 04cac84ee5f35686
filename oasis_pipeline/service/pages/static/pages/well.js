// A well: its cards one by one, and its courses on one axis of time.
(() => {
  "use strict";

  // ---- cards
  const slider = document.getElementById("slider");
  let under = null;

  async function load(address, keep = true) {
    under?.abort();
    under = new AbortController();
    const url = new URL(address, location.href);
    const part = new URL(url);
    part.searchParams.set("part", "card");
    document.getElementById("card").classList.add("waiting");
    let answer;
    try {
      answer = await fetch(part, { headers: { "HX-Request": "true", "HX-Current-URL": location.href }, signal: under.signal });
    } catch (error) {
      if (error.name === "AbortError") return;
      location.assign(url);
      return;
    }
    if (!answer.ok) {
      location.assign(url);
      return;
    }
    const found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("card");
    const open = document.querySelector("#card details")?.open;
    const focus = document.activeElement?.rel || document.activeElement?.id;
    document.getElementById("card").replaceWith(found);
    if (open && found.querySelector("details")) found.querySelector("details").open = true;
    if (focus) (found.querySelector(`[rel="${focus}"]`) ?? found.querySelector(`#${CSS.escape(focus)}`))?.focus({ preventScroll: true });
    if (slider && document.activeElement !== slider) slider.value = epoch(found.dataset.card);
    if (keep) history.replaceState(null, "", url);
  }

  const epoch = (text) => Date.parse(`${text}Z`) / 1000;
  const spelled = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 19);

  function at(moment) {
    const url = new URL(location.href);
    url.hash = "";
    url.searchParams.delete("why");
    url.searchParams.set("card", moment);
    return url;
  }

  if (slider) {
    slider.hidden = false;
    slider.addEventListener("input", () => load(at(spelled(Number(slider.value)))));
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-part], a[data-why]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (link.matches("[data-why]")) link.textContent = "Asking the model …";
    load(link.href, !link.matches("[data-why]"));
  });

  document.addEventListener("keydown", (event) => {
    if (window.oasis.isWriting(event)) return;
    const card = document.getElementById("card");
    const step = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
    if (step && card) {
      event.preventDefault();
      if (event.shiftKey) {
        load(at(spelled(epoch(card.dataset.card) + (step === "prev" ? -86400 : 86400))));
        return;
      }
      const link = card.querySelector(`[rel=${step}]`);
      if (link) load(link.href);
    } else if (event.key === "p") {
      document.getElementById("pin")?.click();
    } else if (event.key === "[" || event.key === "]") {
      const other = document.getElementById(event.key === "[" ? "ahead" : "behind");
      if (other) location.assign(other.href);
    }
  });

  // ---- courses
  const place = document.getElementById("charts");
  const told = document.getElementById("chart-data");
  if (!place || !told || !window.uPlot) return;
  const { node, first, last, events } = JSON.parse(told.textContent);
  const end = Math.ceil(epoch(last.slice(0, 19)) / 86400) * 86400;
  let days = 120;
  let charts = [];
  let data = null;

  const CHARTS = [
    { title: "Failure probability, %", series: [["status", "failure_prob_30d", "30 d", "muted"], ["status", "failure_prob_15d", "15 d", "risk"], ["status", "failure_prob_3d", "3 d", "warn"]], range: [0, 100] },
    { title: "Liquid, bbl/d", series: [["status", "production_lower_bpd", "lower", "surface", "edge"], ["status", "production_upper_bpd", "upper", "surface", "edge"], ["status", "production_bpd", "reconciled", "surface"], ["status", "inferred_production_bpd", "by cards", "pump", "thin"], ["status", "vendor_production_bpd", "vendor", "forecast", "thin"], ["test", "liquid", "test", "ink", "point"]], band: [2, 1] },
    { title: "Oil lost, bbl/d", series: [["status", "lost_oil_lower_bpd", "lower", "risk", "edge"], ["status", "lost_oil_upper_bpd", "upper", "risk", "edge"], ["status", "lost_oil_bpd", "lost", "risk"]], band: [2, 1] },
    { title: "Loads, 1,000 lbf", series: [["card", "pprl_lbf", "peak", "surface"], ["card", "mprl_lbf", "least", "pump"]], scale: 0.001 },
    { title: "Worst loads, %", series: [["status", "gearbox_load_pct", "gearbox", "surface"], ["status", "structural_load_pct", "structure", "forecast"], ["status", "max_rod_load_pct", "rods", "pump"]] },
    { title: "Fillage, %", series: [["card", "fillage_pct", "by the card", "surface"]], range: [0, 105] },
    { title: "Intake pressure, psi", series: [["card", "pump_intake_pressure_psi", "intake", "pump"]] },
    { title: "Speed, 1/min", series: [["summary", "spm", "speed", "surface"]] },
    { title: "Run time, h/d", series: [["status", "runtime_h", "run time", "good", "steps"]], range: [0, 24] },
  ];

  async function rows(resource, fields, time) {
    const query = new URLSearchParams({ NodeID: node, fields: `(${fields})`, order_by: time, limit: "20000" });
    query.set(`${time}__gte`, spelled(end - days * 86400).slice(0, 10));
    const answer = await fetch(`/api/${resource}/?${query}`, { headers: { Accept: "application/json" } });
    return answer.ok ? answer.json() : [];
  }

  const wanted = (source) => [...new Set(CHARTS.flatMap((chart) => chart.series.filter((s) => s[0] === source).map((s) => s[1])))];

  async function fetchAll() {
    const [status, summary, card, test] = await Promise.all([
      rows("wellstatus", ["Date", ...wanted("status")], "Date"),
      rows("wellsummary", ["Date", ...wanted("summary")], "Date"),
      rows("carddiag", ["Date", ...wanted("card")], "Date"),
      rows("welltest", ["TestDate", "OilRate", "WaterRate", "Approved"], "TestDate"),
    ]);
    // a day is known at its end
    for (const row of [...status, ...summary]) row.at = epoch(row.Date.slice(0, 10) + "T00:00:00") + 43200;
    for (const row of card) row.at = epoch(row.Date.slice(0, 19));
    const tests = test.filter((row) => row.Approved !== false && (row.OilRate !== null || row.WaterRate !== null));
    for (const row of tests) {
      row.at = epoch(row.TestDate.slice(0, 19));
      row.liquid = (row.OilRate ?? 0) + (row.WaterRate ?? 0);
    }
    return { status, summary, card, test: tests };
  }

  function table(chart) {
    const times = [...new Set(chart.series.flatMap(([source]) => data[source].map((row) => row.at)))].sort((a, b) => a - b);
    const index = new Map(times.map((time, i) => [time, i]));
    const columns = chart.series.map(([source, name]) => {
      // undefined, not null: where sources meet, a time of another one is no gap
      const column = new Array(times.length).fill(undefined);
      for (const row of data[source]) column[index.get(row.at)] = row[name] === null ? null : row[name] * (chart.scale ?? 1);
      return column;
    });
    return [times, ...columns];
  }

  function marks() {
    const colour = { failure: window.oasis.colour("bad"), workover: window.oasis.colour("good"), alarm: window.oasis.colour("warn"), equipment: window.oasis.colour("muted"), rods: window.oasis.colour("muted") };
    return {
      hooks: {
        drawClear: (u) => {
          const { ctx } = u;
          const { left, top, width, height } = u.bbox;
          ctx.save();
          ctx.beginPath();
          ctx.rect(left, top, width, height);
          ctx.clip();
          const line = (time, stroke) => {
            const x = Math.round(u.valToPos(time, "x", true)) + 0.5;
            ctx.strokeStyle = stroke;
            ctx.lineWidth = devicePixelRatio;
            ctx.beginPath();
            ctx.moveTo(x, top);
            ctx.lineTo(x, top + height);
            ctx.stroke();
          };
          for (const event of events) {
            const from = epoch(event.at.slice(0, 19));
            if (event.kind === "failure") {
              const to = event.end ? epoch(event.end.slice(0, 19)) : end;
              const x = u.valToPos(from, "x", true);
              ctx.globalAlpha = 0.16;
              ctx.fillStyle = colour.failure;
              ctx.fillRect(x, top, Math.max(u.valToPos(to, "x", true) - x, 2), height);
              ctx.globalAlpha = 1;
              if (event.end) line(to, colour.workover);
            } else if (event.kind !== "test") {
              ctx.globalAlpha = 0.8;
              line(from, colour[event.kind]);
              ctx.globalAlpha = 1;
            }
          }
          ctx.restore();
        },
      },
    };
  }

  let zooming = false;
  function together(u, key) {
    if (key !== "x" || zooming) return;
    zooming = true;
    const { min, max } = u.scales.x;
    for (const other of charts) if (other !== u) other.setScale("x", { min, max });
    zooming = false;
    setTimeout(sayZoom);
  }

  function sayZoom() {
    const { min, max } = charts.at(-1)?.scales.x ?? {};
    const whole = !charts.length || (min === start() && max === end);
    document.getElementById("zoom").hidden = whole;
    if (!whole) document.getElementById("zoom-span").textContent = `${spelled(min).slice(0, 10)} to ${spelled(max).slice(0, 10)}`;
  }

  const start = () => Math.max(end - days * 86400, Math.floor(epoch(first.slice(0, 19)) / 86400) * 86400);

  const showAll = () => charts[0]?.setScale("x", { min: start(), max: end });
  document.querySelector("#zoom button").addEventListener("click", showAll);

  function dayOf(time, step) {
    const at = new Date(time * 1000);
    return step < 86400 && time % 86400 !== 0 ? at.toISOString().slice(11, 16) : at.toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
  }

  function faded(colour, share) {
    return `color-mix(in srgb, ${colour} ${share}%, transparent)`;
  }

  function draw() {
    for (const chart of charts) chart.destroy();
    charts = [];
    place.replaceChildren();
    const ink = window.oasis.colour("muted");
    const grid = window.oasis.colour("line");
    const drawn = [];
    for (const chart of CHARTS) {
      const columns = table(chart);
      const there = columns.slice(1).map((column) => column.some((v) => v !== null && v !== undefined));
      if (!there.some(Boolean)) continue;
      const box = document.createElement("figure");
      const title = document.createElement("figcaption");
      title.append(chart.title);
      const shown = document.createElement("span");
      title.append(shown);
      box.append(title);
      place.append(box);
      drawn.push({ chart, columns, there, box, title, shown });
    }
    // all boxes stand before the first is measured
    for (const { chart, columns, there, box, title, shown } of drawn) {
      const series = chart.series.map(([, , label, name, kind], i) => {
        const stroke = window.oasis.colour(name);
        if (there[i] && kind !== "edge") {
          const entry = document.createElement("span");
          entry.style.setProperty("--mark", `var(--${name})`);
          entry.textContent = label;
          shown.append(entry);
        }
        const plain = { label, stroke, width: kind === "thin" ? 1 : 1.6, points: { show: false } };
        if (kind === "edge") return { ...plain, stroke: "transparent", width: 0 };
        if (kind === "point") return { ...plain, width: 0, paths: () => null, points: { show: true, size: 8, fill: stroke, stroke } };
        if (kind === "steps") return { ...plain, paths: window.uPlot.paths.stepped({ align: 1 }), fill: faded(stroke, 18) };
        // few values would not be seen as a line
        const known = columns[i + 1].reduce((n, v) => n + (v !== null && v !== undefined), 0);
        return { ...plain, points: { show: known < 40, size: 4, fill: stroke, stroke } };
      });
      const bands = chart.band && there[0] && there[1] ? [{ series: chart.band, fill: faded(window.oasis.colour(chart.series[0][3]), 16) }] : undefined;
      const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
      const options = {
        width: box.clientWidth,
        height: 132,
        tzDate: (ts) => window.uPlot.tzDate(new Date(ts * 1000), "Etc/UTC"),
        legend: { show: false },
        cursor: { sync: { key: "well", setSeries: false }, bind: { dblclick: () => showAll }, drag: { x: true, y: false }, points: { size: 6 } },
        scales: { x: { time: true, auto: false, range: (u, low, high) => [low, high] }, y: chart.range ? { range: (u, low, high) => [chart.range[0], Math.max(chart.range[1], high ?? 0)] } : { range: { min: { pad: 0.1 }, max: { pad: 0.1 } } } },
        axes: [{ ...axis, size: 24, values: (u, splits, a, space, step) => splits.map((t) => dayOf(t, step)) }, { ...axis, size: 46 }],
        series: [{}, ...series],
        bands,
        plugins: [marks(), values(title, chart)],
        hooks: { setScale: [together] },
      };
      const made = new window.uPlot(options, columns, box);
      charts.push(made);
    }
    showAll();
    if (!charts.length) place.textContent = "No figures of these days.";
  }

  // figures under the pointer stand in the caption, so that no chart jumps
  function values(title, chart) {
    const shown = document.createElement("output");
    title.append(shown);
    return {
      hooks: {
        setCursor: (u) => {
          const { idx } = u.cursor;
          if (idx === null || idx === undefined) {
            shown.textContent = "";
            return;
          }
          const parts = chart.series.map(([, , label, , kind], i) => {
            const value = u.data[i + 1][idx];
            return value === null || value === undefined || kind === "edge" ? "" : `${label} ${value.toPrecision(value >= 1000 ? 4 : 3)}`;
          });
          shown.textContent = `${spelled(u.data[0][idx]).slice(0, 10)}  ${parts.filter(Boolean).join(", ")}`;
        },
      },
    };
  }

  async function show() {
    place.classList.add("waiting");
    data = await fetchAll();
    place.classList.remove("waiting");
    draw();
  }

  for (const button of document.querySelectorAll("#trends [data-days]")) {
    button.addEventListener("click", () => {
      days = Number(button.dataset.days);
      for (const other of document.querySelectorAll("#trends [data-days]")) other.setAttribute("aria-pressed", String(other === button));
      show();
    });
  }
  let waiting = 0;
  new ResizeObserver(() => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => {
      for (const chart of charts) {
        const width = chart.root.parentElement.clientWidth;
        if (width !== chart.width) chart.setSize({ width, height: 132 });
      }
    });
  }).observe(place);
  document.addEventListener("oasis:theme", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  show();
})();
