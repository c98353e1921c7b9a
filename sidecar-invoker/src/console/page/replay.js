// The editor of a replay: the event, or the client's HTTP request.

import { button, byId, el, toast } from "./dom.js";
import { call } from "./api.js";
import { bytes, readable } from "./text.js";

/** Opens the editor for an invocation. Calls `ondone(id)` with the id of the new one. */
export async function edit(id, ondone) {
  let detail;
  try {
    // A replay of masked text would send the mask.
    detail = await call(`invocations/${id}?reveal=true&full=true`);
  } catch (error) {
    toast(error.message);
    return;
  }
  const editors = [eventEditor(detail), requestEditor(detail)].filter(Boolean);
  const dialog = byId("edit");
  const problem = el("p", { class: "problem", role: "alert", hidden: true });
  const fail = (sentence) => {
    problem.textContent = sentence;
    problem.hidden = false;
  };
  const choices = editors.map(({ name, title }, at) =>
    el("label", { class: "check" }, radio(name, at === 0, () => choose(name)), ` ${title}`),
  );
  let chosen = editors[0];
  function choose(name) {
    problem.hidden = true;
    for (const editor of editors) {
      editor.node.hidden = editor.name !== name;
      if (editor.name === name) chosen = editor;
    }
  }
  const send = el("button", { class: "primary" }, "Replay");
  const form = el(
    "form",
    { method: "dialog" },
    el("h2", { id: "edit-title" }, `Edit and replay invocation ${id}`),
    editors.length > 1 &&
      el("fieldset", {}, el("legend", { class: "visually-hidden" }, "What to edit"), choices),
    el("p", { class: "about" }, "Secrets are shown, so that they are sent as they were."),
    editors.map(({ node }) => node),
    problem,
    el("div", { class: "actions end" }, button("Cancel", () => dialog.close()), send),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.hidden = true;
    let change;
    try {
      change = chosen.value();
    } catch (error) {
      fail(error.message);
      return;
    }
    send.disabled = true;
    try {
      const { id: made } = await call(`invocations/${id}/replay`, "POST", change);
      dialog.close();
      toast(`Replayed as invocation ${made}`);
      ondone(made);
    } catch (error) {
      fail(error.message);
    } finally {
      send.disabled = false;
    }
  });
  choose(chosen.name);
  dialog.setAttribute("aria-labelledby", "edit-title");
  dialog.replaceChildren(form);
  dialog.showModal();
}

function radio(value, checked, onchange) {
  return el("input", { type: "radio", name: "edited", value, checked, onchange });
}

/** Returns the editor of the event, or null if the event is not text or not whole. */
function eventEditor({ event }) {
  if (event.text === undefined || event.is_truncated) return null;
  const area = textArea(readable(event), 16);
  return {
    name: "event",
    title: "Event",
    node: el("div", { class: "editor" }, el("label", {}, "Event", area)),
    value() {
      try {
        JSON.parse(area.value);
      } catch (error) {
        throw new Error(`The event is not valid JSON: ${error.message}`);
      }
      return { event: area.value };
    },
  };
}

/** Returns the editor of the client's request, or null if there was none. */
function requestEditor({ http_request: request }) {
  if (request === null) return null;
  const content = request.body ?? { text: "", size: 0 };
  const isEditable = content.text !== undefined && !content.is_truncated;
  const method = el("input", { value: request.method, spellcheck: "false", autocomplete: "off", size: 8 });
  const target = el("input", { value: request.target, spellcheck: "false", autocomplete: "off" });
  const headers = textArea(request.headers.map(([name, value]) => `${name}: ${value}`).join("\n"), 8);
  const text = textArea(content.text ?? "", 8);
  const kept = content.is_truncated
    ? `The body of ${bytes(content.size)} was not kept whole, so it cannot be sent again.`
    : `The body of ${bytes(content.size)} is not text and is sent as it was.`;
  return {
    name: "request",
    title: "HTTP request",
    node: el(
      "div",
      { class: "editor", hidden: true },
      el(
        "div",
        { class: "target-line" },
        el("label", {}, "Method", method),
        el("label", { class: "wide" }, "Path and query", target),
      ),
      el("label", {}, "Headers, one a line", headers),
      isEditable ? el("label", {}, "Body", text) : el("p", { class: "about" }, kept),
    ),
    value() {
      if (content.is_truncated) throw new Error(kept);
      return {
        http_request: {
          method: method.value.trim(),
          target: target.value.trim(),
          headers: parseHeaders(headers.value),
          body: isEditable ? { text: text.value } : { base64: content.base64 },
        },
      };
    },
  };
}

function parseHeaders(text) {
  const lines = text.split("\n").map((line) => line.trim());
  return lines.flatMap((line, at) => {
    if (line === "") return [];
    const colon = line.indexOf(":");
    if (colon < 1) throw new Error(`Line ${at + 1} of the headers has no name. Write it as “name: value”.`);
    return [[line.slice(0, colon).trim(), line.slice(colon + 1).trim()]];
  });
}

function textArea(text, rows) {
  const area = el("textarea", { rows, spellcheck: "false", autocomplete: "off", autocapitalize: "off" });
  area.value = text;
  return area;
}
