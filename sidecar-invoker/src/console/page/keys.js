// Keys of the whole page. Those that are one character can be turned off, for people who dictate.

import { byId } from "./dom.js";
import { TABS } from "./detail.js";

const SETTING = "lambda-mesh-letter-keys";

/** Listens for keys. */
export function onKeys({ list, detail, togglePause, chooseTab, go }) {
  const box = byId("letter-keys");
  box.checked = localStorage.getItem(SETTING) !== "off";
  box.addEventListener("change", () => localStorage.setItem(SETTING, box.checked ? "on" : "off"));
  byId("help-button").addEventListener("click", () => byId("help").showModal());

  const letters = {
    j: () => list.move(1),
    k: () => list.move(-1),
    p: togglePause,
    "/": () => byId("filter").focus(),
    "?": () => byId("help").showModal(),
  };
  TABS.forEach((tab, at) => {
    letters[at + 1] = () => chooseTab(tab);
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") {
      leave();
      return;
    }
    if (event.target.closest("input, textarea, select") || !box.checked || !letters[event.key]) return;
    event.preventDefault();
    letters[event.key]();
  });

  /** Goes one step back: from the filter or the invocation to the list, from the list to nothing chosen. */
  function leave() {
    const rows = byId("rows");
    if (document.activeElement !== rows && !rows.hidden && rows.offsetParent !== null) rows.focus();
    else if (detail.id !== null) go("#/");
  }
}
