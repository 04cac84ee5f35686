// Labelling by keyboard. Cards are all in the page; one of them, or twelve, are shown. A label is sent while the next card is looked at.
(() => {
  "use strict";
  const root = document.querySelector(".labelling");
  if (!root) return;
  const find = (id) => document.getElementById(id);
  const { view, mode } = root.dataset;
  const single = "single" in root.dataset;
  const may = "may" in root.dataset;
  const size = view === "twelve" ? 12 : 1;
  const SOON = 10;
  const buttons = [...root.querySelectorAll("[data-label]")];
  const byKey = new Map(buttons.filter((b) => b.dataset.key).map((b) => [b.dataset.key, b.dataset.label]));
  const given = [];
  let items = [...root.querySelectorAll(".to-label")];
  let at = 0;
  let first = null;
  let ended = single;
  let loading = null;
  let waiting = 0;
  let chain = Promise.resolve();
  let labels = 0;
  let began = 0;
  root.classList.add("scripted");

  // ---- what is shown

  function show(focus = true) {
    const start = Math.floor(at / size) * size;
    items.forEach((item, place) => {
      item.hidden = place < start || place >= start + size;
      item.classList.toggle("current", place === at);
    });
    const here = items[at];
    find("nothing").hidden = here !== undefined || (!ended && items.length > 0);
    for (const button of buttons) {
      const own = here ? [here.dataset.own1, here.dataset.own2] : [];
      button.classList.toggle("given", own.includes(button.dataset.label));
      button.classList.toggle("first", first === button.dataset.label);
    }
    if (here && focus) {
      here.focus({ preventScroll: true });
      if (size > 1) here.scrollIntoView({ block: "nearest" });
    }
    if (!single && at > 0 && items[at - 1]) {
      const asked = new URLSearchParams({ view, mode, after: items[at - 1].dataset.place });
      history.replaceState(null, "", `?${asked}`);
    }
    if (!ended && items.length - at < SOON) loadMore();
  }

  function tell(item) {
    const { own1, own2 } = item.dataset;
    item.querySelector(".said").textContent = own2 ? `${own1} + ${own2}` : own1;
    item.classList.toggle("labelled", own1 !== "");
  }

  function trouble(text) {
    const place = find("trouble");
    place.textContent = text;
    place.hidden = text === "";
  }

  function go(step) {
    first = null;
    const to = at + step;
    if (to < 0 || (single && to >= items.length)) return;
    at = Math.min(to, items.length);
    if (at === items.length && !ended) loadMore();
    show();
  }

  async function loadMore() {
    if (ended || loading) return loading;
    const last = items.at(-1);
    const asked = new URLSearchParams({ view, mode, part: "1", after: last ? last.dataset.place : "" });
    loading = (async () => {
      try {
        const answer = await fetch(`/label?${asked}`, { headers: { "HX-Request": "true" } });
        if (!answer.ok) throw new Error(`the next cards did not come (${answer.status}): load the page again`);
        const old = items.length;
        find("cards").insertAdjacentHTML("beforeend", await answer.text());
        items = [...root.querySelectorAll(".to-label")];
        ended = items.length === old;
      } catch (error) {
        trouble(error.message);
        ended = true;
      }
      loading = null;
      show(false);
    })();
    return loading;
  }

  // ---- what is said of cards

  const pause = (ms) => new Promise((done) => setTimeout(done, ms));

  // one after the other, so that an undo never overtakes its label; what may pass is tried again
  function send(what, body, type, item) {
    waiting += 1;
    chain = chain.then(async () => {
      for (let attempt = 0; ; attempt += 1) {
        let reason;
        let again = true;
        try {
          const answer = await fetch(what, {
            method: "POST",
            headers: { "Content-Type": type, "X-CSRFToken": window.oasis.csrf(), Accept: "application/json" },
            body,
          });
          if (answer.ok) {
            // read to its end, else the browser counts the request as broken off
            await answer.arrayBuffer();
            item.classList.remove("failed");
            break;
          }
          again = answer.status === 503 || answer.status === 429;
          const told = await answer.json().catch(() => ({}));
          reason = told.errors?.map((fault) => fault.reason).join("; ") || told.reason || `status ${answer.status}`;
        } catch {
          reason = "the service does not answer";
        }
        if (!again || attempt === 5) {
          item.classList.add("failed");
          trouble(`Not stored, ${item.dataset.node} ${item.dataset.date}: ${reason}`);
          break;
        }
        await pause(1000 * (attempt + 1));
      }
      waiting -= 1;
    });
  }

  function store(item, own) {
    const more = (own.length > 0) - (item.dataset.own1 !== "");
    for (const id of ["mine", "today"]) change(id, more);
    if (mode === "queue" && !single) change("queue", -more);
    item.dataset.own1 = own[0] ?? "";
    item.dataset.own2 = own[1] ?? "";
    tell(item);
    const card = { NodeID: item.dataset.node, Date: item.dataset.date };
    if (own.length) {
      const body = { ...card, TrueLabel1: own[0], TrueLabel2: own[1] ?? null };
      send("/api/dynalabel/", JSON.stringify(body), "application/json", item);
    } else {
      send("/label/undo", new URLSearchParams(card), "application/x-www-form-urlencoded", item);
    }
  }

  function give(own) {
    const item = items[at];
    if (!item || !may) return;
    trouble("");
    given.push({ item, before: [item.dataset.own1, item.dataset.own2].filter(Boolean) });
    store(item, own);
    labels += 1;
    began ||= Date.now();
    count();
    go(1);
    if (single) show();
  }

  function change(id, step) {
    const place = find(id);
    place.textContent = (Number(place.textContent.replaceAll(",", "")) + step).toLocaleString("en");
  }

  function count() {
    const pace = find("pace");
    const hours = (Date.now() - began) / 3600000;
    const rate = labels >= 5 && hours > 0 ? `, ${Math.round((labels - 1) / hours).toLocaleString("en")} an hour` : "";
    pace.textContent = labels > 0 ? `${labels} label${labels === 1 ? "" : "s"} since this page was opened${rate}` : "";
  }

  function choose(label, isFirst) {
    if (!may || !items[at]) return;
    if (isFirst) {
      first = first === label ? null : label;
      show(false);
      return;
    }
    const own = first && first !== label ? [first, label] : [label];
    first = null;
    give(own);
  }

  const doings = {
    undo() {
      const last = given.pop();
      if (!last) return;
      store(last.item, last.before);
      labels -= 1;
      count();
      first = null;
      at = items.indexOf(last.item);
      show();
    },
    skip: () => go(1),
    ask() {
      const item = items[at];
      if (!item || !may) return;
      const card = new URLSearchParams({ NodeID: item.dataset.node, Date: item.dataset.date });
      send("/label/ask", card, "application/x-www-form-urlencoded", item);
      item.querySelector(".said").textContent = "second opinion asked for";
      go(1);
    },
    accept() {
      const { suggest1, suggest2 } = items[at]?.dataset ?? {};
      if (mode === "queue" && suggest1 && suggest1 !== "Unknown") give([suggest1, suggest2].filter(Boolean));
    },
  };

  // ---- keys and clicks

  const keys = {
    z: doings.undo,
    Backspace: doings.undo,
    " ": doings.skip,
    o: doings.ask,
    Enter: doings.accept,
    ArrowRight: () => go(1),
    ArrowLeft: () => go(-1),
    ArrowDown: () => go(size > 1 ? columns() : 1),
    ArrowUp: () => go(size > 1 ? -columns() : -1),
    Escape() {
      first = null;
      show(false);
    },
  };

  // cards of a row, as the window lets them stand
  function columns() {
    const shown = items.filter((item) => !item.hidden);
    const top = shown[0]?.offsetTop;
    return Math.max(1, shown.filter((item) => item.offsetTop === top).length);
  }

  document.addEventListener("keydown", (event) => {
    if (window.oasis.isWriting(event)) return;
    const press = event.target.closest("a, button, summary") !== null;
    if (press && (event.key === "Enter" || event.key === " ")) return;
    const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code)?.[1];
    const key = digit ?? (event.key.length === 1 ? event.key.toLowerCase() : event.key);
    const label = byKey.get(key);
    const act = label === undefined ? keys[key] : () => choose(label, event.shiftKey);
    if (!act) return;
    event.preventDefault();
    if (!event.repeat || key.startsWith("Arrow")) act();
  });

  root.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-label], button[data-do]");
    const item = event.target.closest(".to-label");
    if (button) {
      if (button.dataset.do) doings[button.dataset.do]();
      else choose(button.dataset.label, event.shiftKey);
    } else if (item && !event.target.closest("a, form")) {
      at = items.indexOf(item);
      first = null;
      show();
    }
  });

  window.addEventListener("beforeunload", (event) => {
    if (waiting) event.preventDefault();
  });

  items.forEach(tell);
  show();
})();
