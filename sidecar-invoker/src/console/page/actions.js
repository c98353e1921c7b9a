// The buttons of an invocation.

import { button, copy, el } from "./dom.js";

/** Returns the buttons. `handlers` has `replay`, `edit`, `save` and `reveal`. */
export function actions(detail, isRevealed, handlers) {
  return el(
    "div",
    { class: "actions", role: "group", "aria-label": "Actions" },
    button("Replay", handlers.replay, { id: "replay", class: "primary" }),
    button("Edit and replay…", handlers.edit, { id: "edit-and-replay" }),
    copyMenu(detail),
    button("Save", handlers.save, { id: "save" }),
    (detail.is_masked || isRevealed) &&
      button(isRevealed ? "Hide secrets" : "Reveal secrets", handlers.reveal, { id: "reveal" }),
  );
}

function copyMenu(detail) {
  const texts = [
    ["curl", "Copy as curl", detail.copy.curl],
    ["Command", "Copy as invoke command", detail.copy.command],
    ["Test event", "Copy as test event", detail.copy.test_event],
    ["Request id", "Copy request id", detail.request_id],
  ].filter(([, , text]) => text !== null);
  const summary = el("summary", { id: "copy-menu" }, "Copy");
  const close = () => {
    menu.open = false;
    summary.focus();
  };
  const items = texts.map(([what, label, text]) =>
    button(label, () => {
      close();
      copy(text, what);
    }),
  );
  const menu = el("details", { class: "menu" }, summary, el("div", { class: "menu-items" }, items));
  menu.addEventListener("focusout", (event) => {
    if (event.relatedTarget !== null && !menu.contains(event.relatedTarget)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    close();
    event.stopPropagation();
  });
  return menu;
}

document.addEventListener("pointerdown", (event) => {
  for (const menu of document.querySelectorAll(".menu[open]")) menu.open = menu.contains(event.target);
});
