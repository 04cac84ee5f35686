// The list of wells by keyboard, and a day without the rest of the form.
(() => {
  "use strict";
  const wells = () => [...document.querySelectorAll("table.wells a.well")];
  let at = -1;

  function go(step) {
    const links = wells();
    if (!links.length) return;
    const focused = links.indexOf(document.activeElement);
    if (focused >= 0) at = focused;
    at = Math.max(0, Math.min(links.length - 1, at + step));
    for (const row of document.querySelectorAll("table.wells tr.at")) row.classList.remove("at");
    const row = links[at].closest("tr");
    row.classList.add("at");
    links[at].focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("keydown", (event) => {
    const inSearch = event.target.id === "search" && event.key === "ArrowDown";
    if (window.oasis.isWriting(event) && !inSearch) return;
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, Home: -1e6, End: 1e6 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    go(step);
  });

  // what is not chosen does not stand in the address; the newest day is no choice
  document.addEventListener("htmx:configRequest", (event) => {
    const given = event.detail.parameters;
    const day = document.querySelector("input[name=day]");
    if (day && given.day === day.dataset.newest) delete given.day;
    for (const name of Object.keys(given)) if (given[name] === "") delete given[name];
    at = -1;
  });

  document.addEventListener("change", (event) => {
    // what was typed has been asked for already: when the focus leaves, the list under it must stay
    if (event.target.id === "search") event.stopPropagation();
    if (event.target.name !== "day") return;
    event.stopPropagation();
    const address = new URL(location.href);
    address.searchParams.delete("cursor");
    address.searchParams.set("day", event.target.value);
    if (event.target.value === event.target.dataset.newest) address.searchParams.delete("day");
    if (event.target.value) location.assign(address);
  }, true);
})();
