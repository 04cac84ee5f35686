// The series of a module: readings by the API, one line a measure, on one axis of time.
(() => {
  "use strict";
  const place = document.getElementById("series");
  if (!place) return;
  const hues = ["surface", "pump", "good", "forecast", "warn", "risk"];
  const MOST = 8;
  let charts = [];
  let data = null;

  function columns(rows) {
    const names = [...new Set(rows.flatMap((row) => row.measures.map((pair) => pair.name)))].sort();
    const at = new Map(names.map((name, i) => [name, i]));
    const lines = names.map(() => new Array(rows.length).fill(null));
    rows.forEach((row, i) => row.measures.forEach((pair) => (lines[at.get(pair.name)][i] = pair.value)));
    return { names, values: [rows.map((row) => Date.parse(row.timestamp) / 1000), ...lines] };
  }

  // days and 24 hours, as everywhere on the pages
  const day = "\n{D} {MMM} {YYYY}";
  const times = [
    [86400 * 28, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
    [86400, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
    [60, "{HH}:{mm}", day, null, "\n{D} {MMM}", null, null, null, 1],
    [1, "{HH}:{mm}:{ss}", day, null, "\n{D} {MMM}", null, null, null, 1],
  ];

  // one chart a measure: what they measure differs in size and unit; the pointer goes along in all of them
  function draw() {
    for (const chart of charts) chart.destroy();
    const ink = window.oasis.colour("muted");
    const grid = { stroke: window.oasis.colour("line"), width: 1 };
    const axis = { stroke: ink, grid, ticks: grid, font: "12px system-ui" };
    place.replaceChildren();
    charts = data.names.slice(0, MOST).map((label, i) => {
      const box = document.createElement("figure");
      const title = document.createElement("figcaption");
      const shown = document.createElement("output");
      title.append(label, shown);
      box.append(title);
      place.append(box);
      const options = {
        width: place.clientWidth,
        height: 150,
        tzDate: (second) => uPlot.tzDate(new Date(second * 1000), "Etc/UTC"),
        legend: { show: false },
        cursor: { sync: { key: "module" }, y: false },
        axes: [{ ...axis, values: times }, { ...axis, size: 60, space: 26 }],
        series: [{}, { label, stroke: window.oasis.colour(hues[i % hues.length]), width: 1.4, points: { show: false } }],
        hooks: {
          // the figure under the pointer stands in the caption, so that no chart jumps
          setCursor: (u) => {
            const value = u.data[1][u.cursor.idx];
            shown.textContent = value === null || value === undefined ? "" : `${new Date(u.data[0][u.cursor.idx] * 1000).toISOString().slice(0, 16).replace("T", " ")}  ${Number(value.toPrecision(5))}`;
          },
        },
      };
      return new uPlot(options, [data.values[0], data.values[i + 1]], box);
    });
    if (data.names.length > MOST) {
      place.append(Object.assign(document.createElement("p"), { className: "note", textContent: `The first ${MOST} of ${data.names.length} measures; the csv has all.` }));
    }
  }

  async function load() {
    try {
      const answer = await fetch(place.dataset.api);
      if (!answer.ok) throw new Error((await answer.json()).reason);
      data = columns(await answer.json());
      draw();
    } catch (error) {
      place.textContent = `The readings did not come: ${error.message}`;
    }
  }

  let width = place.clientWidth;
  new ResizeObserver(() => {
    if (place.clientWidth === width) return;
    width = place.clientWidth;
    for (const chart of charts) chart.setSize({ width, height: 150 });
  }).observe(place);
  document.addEventListener("oasis:theme", () => data && draw());
  load();
})();
