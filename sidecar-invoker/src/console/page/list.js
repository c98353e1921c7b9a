// The list of invocations. Only the rows in sight are elements, so that a thousand invocations and a change in
// each frame cost no more than a few.

import { el } from "./dom.js";
import { clock, duration } from "./text.js";
import { isFailure } from "./store.js";

/** The height of a row in pixels, as in style.css. */
const ROW = 54;
// Rows above and below the visible ones, so that a scroll shows no gap.
const SPARE = 6;

/** Words for outcomes that are no status of HTTP. */
export const OUTCOMES = {
  success: "OK",
  function_error: "Function error",
  throttled: "Throttled",
  timed_out: "Timed out",
  refused: "Refused",
  failed: "Failed",
  abandoned: "Client left",
};

/** Returns the class of colours for an invocation. */
export function tone(one) {
  if (one.state === "running") return "running";
  if (isFailure(one)) return "bad";
  return (one.status ?? 0) >= 400 ? "warn" : "good";
}

/** Returns the few letters that stand for the result: the status, or a word. */
export function badge(one) {
  const text = one.state === "running" ? "···" : String(one.status ?? (one.outcome === "success" ? "OK" : "ERR"));
  const spoken = one.state === "running" ? "running" : null;
  return el("span", { class: `badge ${tone(one)}`, "aria-label": spoken, role: spoken && "img" }, text);
}

/** A list box of invocations, newest first. */
export class InvocationList {
  /** `onselect(summary)` is called when the user chooses another row, `onopen(summary)` when they enter it. */
  constructor(box, { onselect, onopen }) {
    this.box = box;
    this.space = box.firstElementChild;
    this.items = [];
    this.rows = new Map();
    this.selected = null;
    this.onselect = onselect;
    this.onopen = onopen;
    box.addEventListener("scroll", () => this.#draw(), { passive: true });
    box.addEventListener("click", (event) => {
      const row = event.target.closest("[role=option]");
      const item = row && this.items.find((one) => `row-${one.id}` === row.id);
      if (item) onselect(item, true);
    });
    box.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#draw()).observe(box);
  }

  /** Shows these invocations. Who has scrolled down keeps sight of the same rows. */
  show(items) {
    const top = Math.floor(this.box.scrollTop / ROW);
    const anchor = this.box.scrollTop > 0 ? this.items[top]?.id : undefined;
    this.items = items;
    this.space.style.height = `${items.length * ROW}px`;
    this.box.hidden = items.length === 0;
    if (anchor !== undefined) {
      const now = items.findIndex((one) => one.id === anchor);
      if (now !== -1 && now !== top) this.box.scrollTop += (now - top) * ROW;
    }
    this.#draw();
  }

  /** Marks the row of the invocation `id` as the selected one. */
  select(id) {
    this.selected = id;
    this.#draw();
  }

  /** Selects the row that is `step` rows further down. */
  move(step) {
    if (this.items.length === 0) return;
    const at = this.items.findIndex((one) => one.id === this.selected);
    const next = at === -1 ? 0 : Math.min(Math.max(at + step, 0), this.items.length - 1);
    this.#reveal(next);
    this.onselect(this.items[next], false);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.box.clientHeight / ROW) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    const step = steps[event.key];
    if (step !== undefined) this.move(step);
    else if (event.key === "Enter" || event.key === " ") {
      const item = this.items.find((one) => one.id === this.selected);
      if (item) this.onopen(item);
      else this.move(0);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #reveal(at) {
    const { scrollTop, clientHeight } = this.box;
    if (at * ROW < scrollTop) this.box.scrollTop = at * ROW;
    else if ((at + 1) * ROW > scrollTop + clientHeight) this.box.scrollTop = (at + 1) * ROW - clientHeight;
  }

  #draw() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - SPARE);
    const last = Math.min(this.items.length, first + Math.ceil(this.box.clientHeight / ROW) + 2 * SPARE);
    const rows = new Map();
    let place = this.space.firstChild;
    for (let at = first; at < last; at += 1) {
      const item = this.items[at];
      const row = this.rows.get(item.id) ?? { node: el("div", { role: "option", class: "row", id: `row-${item.id}` }) };
      if (row.item !== item) fillRow(row.node, item);
      row.item = item;
      rows.set(item.id, row);
      this.rows.delete(item.id);
      row.node.style.top = `${at * ROW}px`;
      row.node.setAttribute("aria-posinset", at + 1);
      row.node.setAttribute("aria-setsize", this.items.length);
      row.node.setAttribute("aria-selected", item.id === this.selected);
      // A node that stays where it is keeps a click that has begun.
      if (row.node === place) place = place.nextSibling;
      else this.space.insertBefore(row.node, place);
    }
    for (const { node } of this.rows.values()) node.remove();
    this.rows = rows;
    if (rows.has(this.selected)) this.box.setAttribute("aria-activedescendant", `row-${this.selected}`);
    else this.box.removeAttribute("aria-activedescendant");
  }
}

function fillRow(node, one) {
  const isCalled = one.method !== null;
  const name = isCalled ? one.target : one.function;
  const failure = one.state === "done" && one.outcome !== "success" ? OUTCOMES[one.outcome] : null;
  node.replaceChildren(
    badge(one),
    el(
      "span",
      { class: "row-line" },
      el(
        "span",
        { class: "row-main", title: name },
        isCalled && el("span", { class: "method" }, `${one.method} `),
        el("span", { class: "target" }, name),
      ),
      el("span", { class: "row-duration" }, one.state === "running" ? "running" : duration(one.duration)),
    ),
    el(
      "span",
      { class: "row-line" },
      el(
        "span",
        { class: "row-about" },
        el("span", {}, isCalled ? one.function : one.is_attempt ? "attempt" : one.invocation_type),
        failure && el("span", { class: "failure" }, failure),
        one.cold_start && el("span", { class: "chip" }, "cold start"),
        one.replay_of !== null && el("span", { class: "chip" }, `replay of ${one.replay_of}`),
      ),
      el("span", { class: "row-time" }, clock(one.started)),
    ),
  );
}
