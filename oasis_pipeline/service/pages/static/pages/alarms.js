// Rows of alarms by keyboard: up and down, Enter to the well, A to acknowledge, D to say why it is none.
(() => {
  "use strict";
  const rows = () => [...document.querySelectorAll("tr.alarm")];
  let at = -1;

  function mark(place) {
    const every = rows();
    at = Math.max(0, Math.min(place, every.length - 1));
    every.forEach((row, i) => row.classList.toggle("at", i === at));
    every[at]?.focus({ preventScroll: true });
    every[at]?.scrollIntoView({ block: "nearest" });
  }

  const keys = {
    ArrowDown: () => mark(at + 1),
    ArrowUp: () => mark(at - 1),
    j: () => mark(at + 1),
    k: () => mark(at - 1),
    Enter: (row) => row?.querySelector("a")?.click(),
    a: (row) => row?.querySelector("button[value=acknowledged]")?.click(),
    d: (row) => row?.querySelector("input[name=note]")?.focus(),
  };

  document.addEventListener("keydown", (event) => {
    if (window.oasis.isWriting(event)) return;
    if (event.key === "Enter" && event.target.closest("a, button, summary")) return;
    const act = keys[event.key];
    if (!act || !rows().length) return;
    event.preventDefault();
    act(rows()[at]);
  });

  // Enter in the text is a dismissal: it says why the alarm is none
  document.addEventListener("keydown", (event) => {
    const text = event.target.closest?.("tr.alarm input[name=note]");
    if (!text || event.key !== "Enter") return;
    event.preventDefault();
    text.form.querySelector("button[value=dismissed]")?.click();
  });

  // the row that was answered comes new
  document.addEventListener("htmx:afterSwap", () => mark(at));
  document.addEventListener("htmx:responseError", (event) => {
    const row = event.detail.target?.closest?.("tr.alarm");
    const place = row?.querySelector(".why");
    if (place) place.append(Object.assign(document.createElement("div"), { className: "bad", textContent: "That did not work: load the page again." }));
  });
})();
