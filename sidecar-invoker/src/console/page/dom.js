// Building blocks of the page. Text from the server becomes text nodes and attributes, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** Makes an element. An attribute that is null or false is left out, `onNAME` adds a listener. */
export function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Makes an SVG element. */
export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Returns the element of the page with this id. */
export function byId(id) {
  return document.getElementById(id);
}

let lastAnnouncement = 0;

/** Has screen readers say a sentence, once what was said before is over. */
export function announce(sentence) {
  clearTimeout(lastAnnouncement);
  const region = byId("announcer");
  // An equal text would not be read again.
  region.textContent = "";
  lastAnnouncement = setTimeout(() => (region.textContent = sentence), 150);
}

let lastToast = 0;

/** Shows a sentence for a few seconds, and has screen readers say it. */
export function toast(sentence) {
  const box = byId("toast");
  box.textContent = sentence;
  box.hidden = false;
  clearTimeout(lastToast);
  lastToast = setTimeout(() => (box.hidden = true), 4000);
  announce(sentence);
}

/** Returns a button. */
export function button(label, onclick, attributes) {
  return el("button", { type: "button", onclick, ...attributes }, label);
}

/** Returns a link to a page of documentation, or its title alone if the address is not one of the web. */
export function sourceLink(source) {
  if (!/^https:\/\//.test(source.url)) return document.createTextNode(source.title);
  return el("a", { href: source.url, target: "_blank", rel: "noopener noreferrer" }, source.title);
}

/** Copies text. The clipboard of browsers needs HTTPS or loopback; elsewhere a selection is copied. */
export async function copy(text, what) {
  try {
    if (navigator.clipboard) await navigator.clipboard.writeText(text);
    else copySelection(text);
    toast(`${what} copied`);
  } catch {
    toast("The browser did not allow the page to copy");
  }
}

function copySelection(text) {
  const area = el("textarea", { class: "visually-hidden", "aria-hidden": "true" });
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error("not copied");
}

/** Offers text as a file to save. */
export function save(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
