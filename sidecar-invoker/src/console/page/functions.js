// The functions: their environments, queues, and how fast they answer.

import { el } from "./dom.js";
import { count, counted, duration, seconds } from "./text.js";
import { plot } from "./plots.js";

/** The seconds that the plots show. */
const SPAN = 120;

/** The view of all functions. It takes a sample of each one every second while the page is open. */
export class Functions {
  constructor(section) {
    this.section = section;
    this.states = [];
    this.histories = new Map();
    this.openTables = new Set();
  }

  /** Takes over the newest states. */
  update(states) {
    this.states = states;
  }

  /** Adds a sample for the last second to each function's history. */
  sample() {
    const now = performance.now();
    for (const state of this.states) {
      const history = this.histories.get(state.name) ?? { rate: [], errors: [], p50: [], p99: [] };
      const last = history.last;
      // Totals start anew with the invoker.
      if (last && state.invocations >= last.invocations) {
        const elapsed = (now - last.at) / 1000;
        const calls = state.invocations - last.invocations;
        push(history.rate, calls / elapsed);
        push(history.errors, Math.max(0, state.errors - last.errors) / elapsed);
        push(history.p50, calls === 0 ? null : state.latency.p50);
        push(history.p99, calls === 0 ? null : state.latency.p99);
      }
      history.last = { at: now, invocations: state.invocations, errors: state.errors };
      this.histories.set(state.name, history);
    }
  }

  draw() {
    // A new drawing would take the selection away.
    const selection = getSelection();
    if (!selection.isCollapsed && this.section.contains(selection.anchorNode)) return;
    if (this.states.length === 0) {
      this.section.replaceChildren(el("p", { class: "empty" }, "There are no functions."));
      return;
    }
    const focused = this.section.contains(document.activeElement) ? document.activeElement.id : null;
    this.section.replaceChildren(...this.states.map((state) => this.#card(state)));
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }

  #card(state) {
    const history = this.histories.get(state.name) ?? { rate: [], errors: [], p50: [], p99: [] };
    const limit = state.concurrency === null ? "" : ` of ${count(state.concurrency)}`;
    const figures = [
      ["In flight", `${count(state.in_flight)}${limit}`],
      ["Queued", count(state.queued), state.queued > 0 && "warn"],
      ["Invocations", count(state.invocations)],
      ["Errors", count(state.errors), state.errors > 0 && "bad"],
    ];
    return el(
      "article",
      { class: "card", "aria-label": state.name },
      el(
        "header",
        {},
        el("h2", {}, state.name),
        el("p", { class: "about" }, [state.backend, state.description].filter(Boolean).join(" · ")),
      ),
      el(
        "dl",
        { class: "figures" },
        figures.map(([term, text, tone]) => el("div", {}, el("dt", {}, term), el("dd", { class: tone }, text))),
      ),
      el("div", { class: "plots" }, rates(history), latencies(history, state.latency)),
      this.#table(state.name, history),
      environments(state),
    );
  }

  /** Shows the figures of the plots for those who do not see them. */
  #table(name, history) {
    const id = `figures-${name}`;
    const isOpen = this.openTables.has(name);
    const rows = !isOpen
      ? []
      : [...Array(Math.min(10, history.rate.length)).keys()].map((ago) => {
          const at = history.rate.length - 1 - ago;
          const cells = [rate(history.rate[at]), rate(history.errors[at])];
          cells.push(duration(history.p50[at]), duration(history.p99[at]));
          return el("tr", {}, el("th", { scope: "row" }, `${ago} s ago`), cells.map((cell) => el("td", {}, cell)));
        });
    const headings = ["Time", "Calls per second", "Errors per second", "p50", "p99"];
    const details = el(
      "details",
      { class: "figures-table", open: isOpen },
      el("summary", { id }, "Figures as a table"),
      el(
        "table",
        {},
        el("caption", { class: "visually-hidden" }, `The last ten seconds of ${name}`),
        el("thead", {}, el("tr", {}, headings.map((text) => el("th", { scope: "col" }, text)))),
        el("tbody", {}, rows),
      ),
    );
    details.addEventListener("toggle", () => {
      if (details.open === this.openTables.has(name)) return;
      if (details.open) this.openTables.add(name);
      else this.openTables.delete(name);
      this.draw();
    });
    return details;
  }
}

function push(values, value) {
  values.push(value);
  if (values.length > SPAN) values.shift();
}

const rate = (value) => (value === undefined ? "–" : `${Number(value.toPrecision(value < 10 ? 2 : 3))}/s`);

function rates(history) {
  const now = history.rate.at(-1);
  const failures = history.errors.at(-1);
  return figure({
    title: "Rate",
    values: [["rate", rate(now)], failures > 0 && ["errors", `${rate(failures)} errors`]].filter(Boolean),
    lines: [
      { name: "rate", values: history.rate },
      { name: "errors", values: history.errors.some((value) => value > 0) ? history.errors : [] },
    ],
    unit: rate,
  });
}

function latencies(history, { p50, p99 }) {
  return figure({
    title: "Latency",
    values: [
      ["p50", `p50 ${duration(p50)}`],
      ["p99", `p99 ${duration(p99)}`],
    ],
    lines: [
      { name: "p99", values: history.p99 },
      { name: "p50", values: history.p50 },
    ],
    unit: duration,
  });
}

function figure({ title, values, lines, unit }) {
  const label = `${title} in the last ${SPAN / 60} minutes, now ${values.map(([, text]) => text).join(", ")}`;
  const { image, top } = plot({ lines, length: SPAN, unit, label });
  return el(
    "figure",
    {},
    el(
      "figcaption",
      {},
      el("span", { class: "plot-title" }, title),
      values.map(([name, text]) => el("span", { class: `value ${name}` }, text)),
    ),
    el("div", { class: "plot" }, el("span", { class: "top-value", "aria-hidden": "true" }, top), image),
  );
}

function environments({ name, backend, environments: list }) {
  if (list.length === 0) {
    const text = backend === "local" ? "No environment runs now." : "Its environments are not known here.";
    return el("p", { class: "none" }, text);
  }
  const hasVersions = list.some((one) => one.version !== "$LATEST");
  const cells = list.map((one) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, one.id),
      el("td", {}, el("span", { class: `state ${one.state}` }, one.state)),
      el("td", { class: "figure" }, one.memory_mib === null ? "–" : `${count(one.memory_mib)} MiB`),
      el("td", { class: "figure" }, seconds(one.age)),
      hasVersions && el("td", {}, one.version),
    ),
  );
  const headings = [["Environment"], ["State"], ["Memory", "figure"], ["Age", "figure"]];
  if (hasVersions) headings.push(["Version"]);
  return el(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": `Environments of ${name}`, id: `environments-${name}` },
    el(
      "table",
      { class: "environments" },
      el("caption", {}, counted(list.length, "environment")),
      el("thead", {}, el("tr", {}, headings.map(([text, kind]) => el("th", { scope: "col", class: kind }, text)))),
      el("tbody", {}, cells),
    ),
  );
}
