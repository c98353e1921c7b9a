// One invocation: from the client's request over event and payload to the response.

import { announce, button, el, save, sourceLink, toast } from "./dom.js";
import { call } from "./api.js";
import { bytes, clock, counted, date, duration, messageText, readable } from "./text.js";
import { actions } from "./actions.js";
import { badge, OUTCOMES } from "./list.js";
import { body, log, message, timings } from "./panes.js";
import { comparison } from "./compare.js";

/** The tabs in the order in which data moves, then the log. */
export const TABS = ["request", "event", "payload", "response", "log"];
// A narrow page leaves out what stands in the first place.
const TITLES = {
  request: ["HTTP ", "request"],
  event: ["", "Event"],
  payload: ["", "Payload"],
  response: ["HTTP ", "response"],
  log: ["", "Log"],
};

// The last lines of a log come this many milliseconds after the response at most.
const LOG_DELAY = 500;

/** The pane of the selected invocation. */
export class Detail {
  /** `onclose()`, `onopen(id)` for another invocation, `ontab(tab)`, `ongone()`, `onedit(detail)` for the editor. */
  constructor(section, handlers) {
    this.section = section;
    this.handlers = handlers;
    this.id = null;
    this.tab = "event";
    this.isRevealed = false;
    this.isFull = false;
    this.isGone = false;
    this.formats = { formats: [], contracts: [] };
    this.memory = { event: {}, response: {} };
    this.request = 0;
    this.logLater = 0;
  }

  /** Shows the invocation `id`, with this tab if it names one. */
  async show(id, tab) {
    if (tab) this.tab = tab;
    if (id !== this.id || this.isGone) {
      this.isRevealed = false;
      this.isFull = false;
      this.isGone = false;
      this.detail = null;
    }
    this.id = id;
    await this.reload();
  }

  /** Loads the invocation again, for example because it is done now. */
  async reload() {
    this.request += 1;
    const request = this.request;
    try {
      const detail = await call(`invocations/${this.id}?reveal=${this.isRevealed}&full=${this.isFull}`);
      if (request !== this.request) return;
      // After a restart of the invoker, the id may belong to another invocation.
      if (this.detail?.id === detail.id && this.detail.request_id !== detail.request_id) this.#gone();
      else {
        this.#draw(detail);
        this.#awaitLog(detail);
      }
    } catch (error) {
      if (request !== this.request) return;
      const isShown = this.detail?.id === this.id;
      if (error.status === 404 && isShown) this.#gone();
      // A lost connection takes nothing from the reader. The page loads it again once it is connected.
      else if (error.status !== 0 || !isShown) this.#fail(error);
    }
  }

  /** Looks for lines that the function wrote at its end, once they had the time to arrive. */
  #awaitLog(detail) {
    clearTimeout(this.logLater);
    const age = Date.now() - detail.started - (detail.duration ?? 0);
    if (detail.state === "running" || age > 2 * LOG_DELAY) return;
    this.logLater = setTimeout(() => detail.id === this.id && this.reload(), LOG_DELAY);
  }

  /** Takes note of a change of the invocation that is shown. */
  changed(summary) {
    const isOther = this.detail?.state !== summary.state && this.detail?.request_id === summary.request_id;
    if (summary.id === this.id && isOther) this.reload();
  }

  /** Takes over the formats and the list of the invoker after each connection. */
  synchronise(formats, summaries) {
    const isFirst = this.formats.formats.length === 0;
    this.formats = formats;
    if (this.id === null || this.isGone) return;
    const now = summaries.find((summary) => summary.id === this.id);
    const isSame = now && now.request_id === this.detail?.request_id && now.state === this.detail.state;
    // A reader keeps what they have marked and opened, as long as nothing has changed.
    if (isFirst || !isSame) this.reload();
  }

  close() {
    this.id = null;
    this.detail = null;
    this.request += 1;
  }

  focus() {
    this.section.querySelector("h2")?.focus();
  }

  /** Shows the tab, and remembers it for the next invocation. */
  choose(tab) {
    this.tab = tab;
    for (const node of this.section.querySelectorAll("[role=tab]")) {
      const isChosen = node.id === `tab-${tab}`;
      node.setAttribute("aria-selected", isChosen);
      node.tabIndex = isChosen ? 0 : -1;
      if (isChosen) reveal(node.parentElement, node);
    }
    const panel = this.section.querySelector("[role=tabpanel]");
    if (!panel || !this.detail) return;
    panel.setAttribute("aria-labelledby", `tab-${tab}`);
    panel.replaceChildren(this.#panel(tab, this.detail));
    panel.querySelector(".cut")?.after(" ", this.#load());
  }

  /** Keeps what is shown, although the invoker does not have it any more. */
  #gone() {
    this.isGone = true;
    this.handlers.ongone();
    for (const id of ["replay", "edit-and-replay", "reveal"]) {
      const control = this.section.querySelector(`#${id}`);
      if (control) control.disabled = true;
    }
    if (this.section.querySelector(".gone")) return;
    const sentence = "The invoker no longer keeps this invocation. It cannot be replayed; you can still save it.";
    this.section.querySelector(".detail-head").after(el("p", { class: "gone" }, sentence));
  }

  /** Returns the button that loads the bodies without a limit, if they are not loaded so. */
  #load() {
    if (this.isFull) return "";
    return button("Load all of it", () => {
      this.isFull = true;
      this.reload();
    });
  }

  #fail(error) {
    const text = error.status === 404 ? "This invocation is no longer kept. Only the newest ones are." : error.message;
    this.detail = null;
    this.section.replaceChildren(
      el("header", { class: "detail-head" }, this.#back(), el("h2", { tabindex: -1 }, "Not there")),
      el("p", { class: "problem", role: "alert" }, text),
    );
  }

  #draw(detail) {
    // A redrawn pane keeps the focus on the same part of it.
    const focused = this.section.contains(document.activeElement) ? document.activeElement.id : null;
    const isTimeOpen = this.section.querySelector("details.time")?.open ?? true;
    const isSame = this.detail?.id === detail.id;
    const scrolled = this.section.scrollTop;
    this.detail = detail;
    this.section.replaceChildren(
      this.#head(detail),
      ...[this.#why(detail), this.#time(detail, isTimeOpen), this.#tabs(detail)].filter(Boolean),
      el("div", { role: "tabpanel", id: "panel", tabindex: 0 }),
    );
    this.choose(this.tab);
    this.section.scrollTop = isSame ? scrolled : 0;
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }

  #back() {
    return button("←", () => this.handlers.onclose(), { class: "quiet back", "aria-label": "Back to the list" });
  }

  #head(detail) {
    const name = detail.method === null ? detail.function : detail.target;
    const facts = [
      ["Function", detail.version === "$LATEST" ? detail.function : `${detail.function}:${detail.version}`],
      ["Result", detail.state === "running" ? "Running" : OUTCOMES[detail.outcome]],
      ["Took", detail.state === "running" ? "–" : duration(detail.duration)],
      ["Started", clock(detail.started), date(detail.started)],
      ["aws", "rie"].includes(detail.backend) && ["Runs on", detail.backend === "aws" ? "AWS" : "an emulator"],
      ["Request id", detail.request_id, null, "id"],
    ].filter(Boolean);
    const chips = [
      detail.cold_start && "cold start",
      detail.streamed && "streamed",
      detail.is_attempt && "attempt of a queued event",
      !detail.is_attempt && detail.invocation_type !== "RequestResponse" && detail.invocation_type,
    ].filter(Boolean);
    return el(
      "header",
      { class: "detail-head" },
      el(
        "div",
        { class: "title" },
        this.#back(),
        el(
          "h2",
          { id: "detail-title", tabindex: -1 },
          badge(detail),
          " ",
          detail.method !== null && el("span", { class: "method" }, `${detail.method} `),
          el("span", { class: "target" }, name),
        ),
      ),
      el(
        "dl",
        { class: "facts" },
        facts.map(([term, text, title, kind]) =>
          el("div", {}, el("dt", {}, term), el("dd", { title, class: kind }, text)),
        ),
      ),
      (chips.length > 0 || detail.replay_of !== null) &&
        el(
          "p",
          { class: "chips" },
          chips.map((chip) => el("span", { class: "chip" }, chip)),
          detail.replay_of !== null &&
            button(`replay of ${detail.replay_of}`, () => this.handlers.onopen(detail.replay_of), { class: "chip" }),
        ),
      actions(detail, this.isRevealed, {
        replay: () => this.#replay(),
        edit: () => this.handlers.onedit(detail),
        save: () => this.#save(),
        reveal: () => this.#reveal(),
      }),
    );
  }

  /** Saves what is shown, with bodies of any length if the invoker still has them. */
  async #save() {
    let { detail } = this;
    try {
      const whole = await call(`invocations/${detail.id}?reveal=${this.isRevealed}&full=true`);
      if (whole.request_id === detail.request_id) detail = whole;
    } catch {
      // What is on the page is better than nothing.
    }
    save(`invocation-${detail.id}.json`, JSON.stringify(detail, null, 2));
  }

  async #replay() {
    try {
      const { id } = await call(`invocations/${this.id}/replay`, "POST", {});
      toast(`Replayed as invocation ${id}`);
      this.handlers.onopen(id);
    } catch (error) {
      toast(error.message);
    }
  }

  async #reveal() {
    this.isRevealed = !this.isRevealed;
    await this.reload();
    announce(this.isRevealed ? "Secrets are shown" : "Secrets are hidden");
  }

  #why({ why }) {
    if (why === null) return null;
    return el(
      "p",
      { class: "why" },
      el("strong", {}, "Why: "),
      /[.!?]$/.test(why.sentence) ? why.sentence : `${why.sentence}.`,
      why.source && el("span", { class: "source" }, " Source: ", sourceLink(why.source)),
    );
  }

  #time(detail, open) {
    if (detail.timings.length === 0) return null;
    return el(
      "details",
      { class: "time", open },
      el("summary", { id: "time" }, "Where the time went"),
      timings(detail.timings),
    );
  }

  #tabs(detail) {
    const lines = detail.log?.text.replace(/\n$/, "").split("\n").length;
    const abouts = {
      request: detail.http_request ? sizeOf(detail.http_request.body) : "none",
      event: bytes(detail.event.size),
      payload: detail.function_error ? "error" : detail.payload ? bytes(detail.payload.size) : "none",
      response: detail.http_response ? `${detail.http_response.status} · ${sizeOf(detail.http_response.body)}` : "none",
      log: detail.log === null ? "none" : detail.log.text === "" ? "empty" : counted(lines, "line"),
    };
    const tabs = TABS.map((tab) =>
      el(
        "button",
        {
          type: "button",
          role: "tab",
          id: `tab-${tab}`,
          class: tab === "log" ? "apart" : null,
          "aria-controls": "panel",
          onclick: () => this.handlers.ontab(tab),
        },
        el("span", { class: "tab-title" }, el("span", { class: "long" }, TITLES[tab][0]), TITLES[tab][1]),
        el("span", { class: `tab-about${abouts[tab] === "error" ? " failure" : ""}` }, abouts[tab]),
      ),
    );
    const onkeydown = (event) => {
      const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -TABS.length, End: TABS.length };
      const step = steps[event.key];
      if (step === undefined) return;
      const at = Math.min(Math.max(TABS.indexOf(this.tab) + step, 0), TABS.length - 1);
      this.handlers.ontab(TABS[at]);
      document.getElementById(`tab-${TABS[at]}`)?.focus();
      event.preventDefault();
    };
    return el("div", { role: "tablist", class: "tabs", "aria-label": "Steps of the invocation", onkeydown }, tabs);
  }

  #panel(tab, detail) {
    if (tab === "request") {
      if (detail.http_request) return message(detail.http_request, "Request");
      return none("This call came through the Lambda API. There is no HTTP request behind it.");
    }
    if (tab === "event") return this.#event(detail);
    if (tab === "payload") {
      if (detail.payload) return body(detail.payload, "Payload");
      return none(detail.state === "running" ? "The function has not responded yet." : "The function gave no payload.");
    }
    if (tab === "response") return this.#response(detail);
    return log(detail.log);
  }

  #event(detail) {
    const original = body(detail.event, "Event");
    if (detail.http_request === null || this.formats.formats.length === 0) return original;
    return comparison({
      label: "Show as",
      unchanged: titleOf(this.formats.formats, detail.format) ?? "the format it had",
      choices: this.formats.formats.filter(({ name }) => name !== detail.format),
      original,
      text: readable(detail.event),
      load: async (name) => {
        const { event, error } = await call(
          `invocations/${detail.id}/event?format=${encodeURIComponent(name)}&reveal=${this.isRevealed}`,
        );
        if (event === null) throw new Error(error);
        return { text: readable({ text: event }) };
      },
      memory: this.memory.event,
    });
  }

  #response(detail) {
    if (detail.http_response === null) {
      return none(detail.state === "running" ? "The client has no response yet." : "No HTTP response was made of it.");
    }
    const original = message(detail.http_response, "Response");
    if (detail.payload === null || this.formats.contracts.length === 0) return original;
    return comparison({
      label: "As the function would answer",
      unchanged: "by the route's own contract",
      choices: this.formats.contracts,
      original,
      text: messageText(detail.http_response),
      load: async (name) => {
        const { http_response: other, error } = await call(
          `invocations/${detail.id}/response?contract=${encodeURIComponent(name)}&reveal=${this.isRevealed}`,
        );
        if (other === null) throw new Error(error);
        return { text: messageText(other), problem: error };
      },
      memory: this.memory.response,
    });
  }
}

/** Scrolls the row of tabs so that the chosen one is in sight. */
function reveal(tabs, tab) {
  const end = tab.offsetLeft + tab.offsetWidth + 40;
  if (end > tabs.scrollLeft + tabs.clientWidth) tabs.scrollLeft = end - tabs.clientWidth;
  if (tab.offsetLeft - 40 < tabs.scrollLeft) tabs.scrollLeft = tab.offsetLeft - 40;
}

function none(sentence) {
  return el("p", { class: "none" }, sentence);
}

function titleOf(choices, name) {
  return choices.find((choice) => choice.name === name)?.title;
}

function sizeOf(content) {
  return content === null ? "no body" : bytes(content.size);
}
