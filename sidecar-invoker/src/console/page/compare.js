// A document beside what another event format or response contract makes of it.

import { el } from "./dom.js";
import { counted } from "./text.js";
import { diffLines, sideBySide } from "./diff.js";

const NARROW = matchMedia("(max-width: 760px)");

/**
 * Shows a document with a choice of others to compare it with.
 *
 * `label` stands before the choice, `unchanged` names the document as it is, `choices` are the others as
 * `{name, title}`, `original` is the node without a comparison, `text` the document, `load(name)` returns the other
 * one as `{text, problem}`. `memory` holds the choice from one invocation to the next.
 */
export function comparison({ label, unchanged, choices, original, text, load, memory }) {
  const place = el("div", { class: "compared" });
  const select = el(
    "select",
    { onchange: () => choose(select.value) },
    el("option", { value: "" }, unchanged),
    choices.map(({ name, title }) => el("option", { value: name }, title)),
  );
  const onlyChanges = el("input", {
    type: "checkbox",
    onchange: () => {
      memory.onlyChanges = onlyChanges.checked;
      place.classList.toggle("only-changes", onlyChanges.checked);
    },
  });
  onlyChanges.checked = memory.onlyChanges ?? false;
  place.classList.toggle("only-changes", onlyChanges.checked);
  const filter = el("label", { class: "check" }, onlyChanges, " Only what differs");

  async function choose(name) {
    memory.name = name;
    filter.hidden = name === "";
    if (name === "") return place.replaceChildren(original);
    const titles = [unchanged, choices.find((choice) => choice.name === name).title];
    let content;
    try {
      const other = await load(name);
      content = difference(text, other.text, titles);
      if (other.problem) content.unshift(el("p", { class: "problem" }, other.problem));
    } catch (error) {
      content = [el("p", { class: "problem", role: "alert" }, error.message)];
    }
    // The user may have chosen again in the meantime.
    if (select.value === name) place.replaceChildren(...content);
  }

  const known = choices.some(({ name }) => name === memory.name);
  select.value = known ? memory.name : "";
  choose(select.value);
  return el(
    "div",
    {},
    el("div", { class: "compare-bar" }, el("label", {}, `${label} `, select), filter),
    place,
  );
}

/** Returns the nodes that show how two texts differ. */
function difference(before, after, titles) {
  const lines = diffLines(before, after);
  if (lines === null) {
    const note = el("p", { class: "about" }, "Too many lines differ to compare them one by one.");
    return [note, el("pre", { class: "code", tabindex: 0, role: "region", "aria-label": titles[1] }, after)];
  }
  const different = lines.filter(({ kind }) => kind !== "same").length;
  const sentence = different === 0 ? "Nothing differs." : `${counted(different, "line")} removed or added.`;
  const table = NARROW.matches ? unified(lines) : columns(lines, titles);
  return [
    el("p", { class: "about" }, el("span", {}, sentence)),
    el("div", { class: "code diff-box", tabindex: 0, role: "region", "aria-label": "What differs" }, table),
  ];
}

function columns(lines, titles) {
  const cell = (tag, sign, text) =>
    text === null ? el("td", { class: "gap" }) : el("td", { class: tag }, el(tag, {}, el("i", {}, sign), text));
  const rows = sideBySide(lines).map(({ left, right, isSame }) =>
    isSame
      ? el("tr", { class: "same" }, el("td", {}, left), el("td", {}, right))
      : el("tr", {}, cell("del", "−", left), cell("ins", "+", right)),
  );
  const headings = titles.map((title) => el("th", { scope: "col" }, title));
  return el("table", { class: "diff" }, el("thead", {}, el("tr", {}, headings)), el("tbody", {}, rows));
}

function unified(lines) {
  const rows = lines.map(({ kind, text }) => {
    if (kind === "same") return el("tr", { class: "same" }, el("td", {}, text));
    const tag = kind === "removed" ? "del" : "ins";
    return el("tr", {}, el("td", { class: tag }, el(tag, {}, el("i", {}, kind === "removed" ? "−" : "+"), text)));
  });
  return el("table", { class: "diff unified" }, el("tbody", {}, rows));
}
