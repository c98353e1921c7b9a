// The parts of an invocation: messages, documents, log lines, and where the time went.

import { button, copy, el } from "./dom.js";
import { bytes, counted, duration, pretty } from "./text.js";

// Longer text is cut until the reader asks for all of it, and longer JSON has no colours.
const MAX_SHOWN = 64 * 1024;

/** Shows text in a box of its own. JSON has colours. A long text is cut at first. */
export function code(text, label, isJson) {
  const box = el("pre", { class: "code", tabindex: 0, role: "region", "aria-label": label });
  if (text.length <= MAX_SHOWN) {
    box.append(...(isJson ? coloured(text) : [text]));
    return box;
  }
  box.append(text.slice(0, MAX_SHOWN));
  const more = button(`Show all ${bytes(text.length)}`, () => {
    box.textContent = text;
    more.remove();
    box.focus();
  });
  return el("div", {}, box, el("p", { class: "more" }, `The first ${bytes(MAX_SHOWN)} are shown. `, more));
}

/** Returns JSON as nodes, with a class for each kind of token. */
function coloured(text) {
  const nodes = [];
  let plain = 0;
  for (const match of text.matchAll(/("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|\b(?:true|false|null)\b|-?\d[\d.eE+-]*/g)) {
    const [all, string, colon] = match;
    const kind = string === undefined ? "literal" : colon === undefined ? "string" : "key";
    nodes.push(text.slice(plain, match.index), el("span", { class: kind }, string ?? all), colon ?? "");
    plain = match.index + all.length;
  }
  nodes.push(text.slice(plain));
  return nodes;
}

/** Returns the line above a text: what it is, and a button that copies it. */
function head(about, text, label) {
  const options = { class: "quiet", "aria-label": `Copy ${label.toLowerCase()}` };
  return el("p", { class: "about" }, about, button("Copy", () => copy(text, label), options));
}

/** Shows a body: JSON in lines, other text as it came, bytes in base64, an image as well. */
export function body(content, label, type = "") {
  if (content === null) return el("p", { class: "none" }, "No body.");
  const text = content.text ?? content.base64;
  const json = content.text === undefined ? null : pretty(content.text);
  const about = [bytes(content.size)];
  if (json !== null) about.push("JSON");
  if (content.base64 !== undefined) about.push("no text, shown in base64");
  if (text === "") return el("p", { class: "none" }, "Empty.");
  return el(
    "div",
    { class: "body" },
    head(el("span", {}, about.join(" · "), content.is_truncated && cut()), text, label),
    content.base64 !== undefined && !content.is_truncated && image(content.base64, type),
    code(json ?? text, label, json !== null),
  );
}

/** Returns the note that only a part is shown. The pane of the invocation adds the button that loads the rest. */
function cut() {
  return el("span", { class: "notice cut" }, " · only the beginning is here");
}

function image(base64, type) {
  if (!/^image\/(png|jpeg|gif|webp)$/.test(type)) return null;
  return el("img", { class: "preview", src: `data:${type};base64,${base64}`, alt: "The image in the body" });
}

/** Shows a request or a response of HTTP. */
export function message(content, label) {
  const isRequest = content.method !== undefined;
  const type = content.headers.find(([name]) => name.toLowerCase() === "content-type")?.[1] ?? "";
  return el(
    "div",
    {},
    el(
      "p",
      { class: "first-line" },
      el("strong", {}, isRequest ? content.method : `HTTP ${content.status}`),
      isRequest && ` ${content.target}`,
    ),
    headers(content.headers, label),
    el("h3", {}, "Body"),
    body(content.body, `${label} body`, type.split(";")[0].trim().toLowerCase()),
  );
}

function headers(list, label) {
  if (list.length === 0) return el("p", { class: "none" }, "No headers.");
  const rows = list.map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value)));
  return el(
    "table",
    { class: "headers" },
    el("caption", { class: "visually-hidden" }, `${label} headers`),
    el("tbody", {}, rows),
  );
}

/** Shows the log lines of an invocation. */
export function log(content) {
  if (content === null) return el("p", { class: "none" }, "The lines of this function are not known here.");
  if (content.text === "") return el("p", { class: "none" }, "The function wrote nothing.");
  const lines = content.text.replace(/\n$/, "").split("\n").length;
  const about = `${counted(lines, "line")} · ${bytes(content.text.length)}`;
  return el(
    "div",
    { class: "body" },
    head(
      el("span", {}, about, content.is_truncated && el("span", { class: "notice" }, " · only a part of it is kept")),
      content.text,
      "Log",
    ),
    code(content.text, "Log"),
  );
}

const STEPS = {
  envoy: "Envoy",
  receive: "Receiving",
  queue: "Queue",
  cold_start: "Cold start",
  sign: "Signing",
  deliver: "Delivering",
  function: "Function",
  respond: "Responding",
  decode: "Decoding",
};

/** Shows where the time went, as a table with a bar in each row. */
export function timings(list) {
  const end = Math.max(...list.map((one) => one.start + one.duration), 0.001);
  const rows = list.map((one) => {
    const bar = el("span", { class: `bar step-${one.name}` });
    bar.style.left = `${(100 * one.start) / end}%`;
    bar.style.width = `${(100 * one.duration) / end}%`;
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, STEPS[one.name] ?? one.name.replaceAll("_", " ")),
      el("td", { class: "track", "aria-hidden": "true" }, el("span", { class: "lane" }, bar)),
      el("td", { class: "visually-hidden" }, duration(one.start)),
      el("td", { class: "figure" }, duration(one.duration)),
    );
  });
  const heading = (text, attributes) => el("th", { scope: "col", ...attributes }, text);
  return el(
    "table",
    { class: "timings" },
    el("caption", { class: "visually-hidden" }, "Where the time went"),
    el(
      "thead",
      { class: "visually-hidden" },
      el("tr", {}, heading("Step"), el("td", { "aria-hidden": "true" }), heading("Start"), heading("Duration")),
    ),
    el("tbody", {}, rows),
  );
}
