// What every page has: the choice of colours, and keys that work everywhere.
(() => {
  "use strict";
  const root = document.documentElement;
  const year = 31536000;

  function chooseTheme(theme) {
    root.dataset.theme = theme;
    document.cookie = `theme=${theme}; path=/; max-age=${year}; samesite=lax`;
    for (const button of document.querySelectorAll("[data-choose-theme]")) {
      button.setAttribute("aria-pressed", String(button.dataset.chooseTheme === theme));
    }
    document.dispatchEvent(new CustomEvent("oasis:theme"));
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-choose-theme]");
    if (button) chooseTheme(button.dataset.chooseTheme);
    for (const menu of document.querySelectorAll("details.who[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });

  // keys of a page are ignored while somebody writes
  window.oasis = {
    isWriting(event) {
      return event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=range]), select, textarea, [contenteditable]") !== null;
    },
    // a colour of the style sheet as a canvas takes it
    colour(name) {
      const probe = document.createElement("span");
      probe.style.color = `var(--${name})`;
      probe.hidden = true;
      document.body.append(probe);
      const found = getComputedStyle(probe).color;
      probe.remove();
      return found;
    },
    csrf() {
      return document.querySelector("meta[name=csrf]")?.content ?? "";
    },
  };

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && event.target.matches?.("input[type=search]")) event.target.blur();
    if (event.key === "/" && !window.oasis.isWriting(event)) {
      const search = document.querySelector("main input[type=search]") ?? document.querySelector("input[type=search]");
      if (search) {
        event.preventDefault();
        search.focus();
        search.select();
      }
    }
  });

  document.addEventListener("htmx:configRequest", (event) => {
    event.detail.headers["X-CSRFToken"] = window.oasis.csrf();
  });
})();
