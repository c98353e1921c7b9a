// The console: wires the list, the pane of an invocation and the functions to the invoker's stream of events.

import { announce, byId, el, toast } from "./dom.js";
import { call, Stream } from "./api.js";
import { RESULTS, Store } from "./store.js";
import { InvocationList } from "./list.js";
import { Detail, TABS } from "./detail.js";
import { edit } from "./replay.js";
import { Functions } from "./functions.js";
import { count, counted } from "./text.js";
import { onKeys } from "./keys.js";

const store = new Store();
const functions = new Functions(byId("functions"));
const filter = { words: [], name: "", result: "" };

const list = new InvocationList(byId("rows"), {
  onselect(one, isPointer) {
    go(`#/${one.id}/${detail.tab}`, !isPointer);
  },
  onopen(one) {
    go(`#/${one.id}/${detail.tab}`, true);
    detail.focus();
  },
});

const detail = new Detail(byId("detail"), {
  onclose: () => go("#/"),
  onopen: (id) => go(`#/${id}/${detail.tab}`),
  ontab: chooseTab,
  // Its id may be that of another one now.
  ongone: () => list.select(null),
  onedit: (one) => edit(one.id, (id) => go(`#/${id}/${detail.tab}`)),
});

// --- drawing, at most once a frame

let isDrawn = true;

function redraw() {
  if (!isDrawn) return;
  isDrawn = false;
  requestAnimationFrame(() => {
    isDrawn = true;
    draw();
  });
}

function draw() {
  const visible = store.visible(filter);
  list.show(visible);
  const known = store.invocations.size;
  const isFiltered = filter.words.length > 0 || filter.name !== "" || filter.result !== "";
  const parts = [isFiltered ? `${count(visible.length)} of ${counted(known, "invocation")}` : counted(known, "invocation")];
  if (store.missed > 0) parts.push(`${count(store.missed)} came too fast to be shown`);
  if (store.isPaused) parts.push(store.waiting === 0 ? "paused" : `paused, ${count(store.waiting)} new`);
  setText(byId("counts"), parts.join(" · "));
  const empty = byId("empty");
  empty.hidden = visible.length > 0;
  if (visible.length === 0) {
    setText(empty, known > 0 ? "No invocation passes the filter." : "No invocation yet. Call a function, and it appears here.");
  }
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// --- the stream

/**
 * Fetches what is there: at the start, after a lost connection, and after a restart of the invoker, whose ids start
 * anew. Returns the place in the stream from which it goes on.
 */
async function synchronise() {
  const [{ invocations, cursor }, states, formats] = await Promise.all([
    call("invocations"),
    call("functions"),
    call("formats"),
  ]);
  store.replace(invocations);
  functions.update(states.functions);
  detail.synchronise(formats, invocations);
  listFunctions();
  redraw();
  drawFunctions();
  return cursor;
}

let connection = "";

function setConnection(state, text) {
  byId("connection").dataset.state = state;
  byId("connection-text").textContent = text;
  // The first connection is no news.
  if (connection !== "" && connection !== state) announce(text);
  connection = state;
}

function showProblem(sentence) {
  const box = byId("problem");
  box.hidden = sentence === null;
  setText(box, sentence ?? "");
}

let fillLater = 0;

const stream = new Stream({
  synchronise,
  opened() {
    setConnection("live", "Live");
    showProblem(null);
  },
  closed(error) {
    setConnection("lost", "Reconnecting");
    // A status means that the invoker is there, and has something to say.
    if (error !== null && error.status !== 0) showProblem(error.message);
  },
  invocation(summary) {
    store.put(summary);
    detail.changed(summary);
    if (!knownFunctions.has(summary.function)) listFunctions();
    redraw();
  },
  functions(states) {
    functions.update(states);
  },
  missed(event) {
    store.missed += event.count;
    redraw();
    // Once they come slower, those that the invoker still keeps are fetched.
    clearTimeout(fillLater);
    fillLater = setTimeout(() => stream.connect(), 2000);
  },
  cleared() {
    store.clear();
    redraw();
  },
});

// --- filter, pause, clear

let knownFunctions = new Set();

function listFunctions() {
  const names = new Set([...functions.states.map((state) => state.name), ...store.functions(), filter.name]);
  names.delete("");
  if (names.size === knownFunctions.size && [...names].every((name) => knownFunctions.has(name))) return;
  knownFunctions = names;
  const select = byId("function-filter");
  const options = [...names].sort().map((name) => el("option", { value: name }, name));
  select.replaceChildren(el("option", { value: "" }, "All functions"), ...options);
  select.value = filter.name;
}

byId("result-filter").append(...Object.entries(RESULTS).map(([value, [title]]) => el("option", { value }, title)));

let countLater = 0;

function refilter() {
  filter.words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  filter.name = byId("function-filter").value;
  filter.result = byId("result-filter").value;
  redraw();
  // Once the user has stopped to type.
  clearTimeout(countLater);
  countLater = setTimeout(() => announce(byId("counts").textContent), 800);
}

byId("filter").addEventListener("input", refilter);
byId("function-filter").addEventListener("change", refilter);
byId("result-filter").addEventListener("change", refilter);
document.querySelector(".toolbar").addEventListener("submit", (event) => event.preventDefault());

function togglePause() {
  if (store.isPaused) store.resume();
  else store.pause();
  byId("pause").setAttribute("aria-pressed", store.isPaused);
  byId("pause").textContent = store.isPaused ? "Resume" : "Pause";
  redraw();
}

byId("pause").addEventListener("click", togglePause);
byId("clear").addEventListener("click", async () => {
  try {
    await call("invocations", "DELETE");
    store.clear();
    redraw();
    go("#/");
    announce("The invocations are cleared");
  } catch (error) {
    toast(error.message);
  }
});

// --- views: #/, #/17, #/17/response, #/functions

function go(hash, isReplaced = false) {
  if (location.hash === hash || (isReplaced && location.hash.length > 2)) history.replaceState(null, "", hash);
  else history.pushState(null, "", hash);
  route();
}

function chooseTab(tab) {
  if (detail.id === null) return;
  history.replaceState(null, "", `#/${detail.id}/${tab}`);
  detail.choose(tab);
}

function route() {
  const isFunctions = location.hash === "#/functions";
  const [, id, tab] = /^#\/(\d+)(?:\/(\w+))?$/.exec(location.hash) ?? [];
  byId("invocations").hidden = isFunctions;
  byId("functions").hidden = !isFunctions;
  for (const [name, isCurrent] of Object.entries({ functions: isFunctions, invocations: !isFunctions })) {
    if (isCurrent) byId(`nav-${name}`).setAttribute("aria-current", "page");
    else byId(`nav-${name}`).removeAttribute("aria-current");
  }
  drawFunctions();
  if (isFunctions) return;
  const chosen = id === undefined ? null : Number(id);
  list.select(chosen);
  byId("invocations").classList.toggle("has-detail", chosen !== null);
  if (chosen === null) closeDetail();
  else if (chosen !== detail.id || detail.isGone) detail.show(chosen, TABS.includes(tab) ? tab : undefined);
  else if (TABS.includes(tab) && tab !== detail.tab) detail.choose(tab);
  redraw();
}

function closeDetail() {
  const hadFocus = byId("detail").contains(document.activeElement);
  detail.close();
  byId("detail").replaceChildren(
    el("p", { class: "empty" }, "Choose an invocation to see its request, event, payload and response."),
  );
  if (hadFocus) byId("rows").focus();
}

addEventListener("popstate", route);
addEventListener("hashchange", route);
for (const link of document.querySelectorAll(".skip")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    const isDetail = link.hash === "#detail";
    if (isDetail && detail.id !== null) detail.focus();
    else (isDetail || byId("rows").hidden ? byId("filter") : byId("rows")).focus();
  });
}

// --- functions

function drawFunctions() {
  if (!byId("functions").hidden) functions.draw();
}

setInterval(() => {
  functions.sample();
  if (!document.hidden) drawFunctions();
}, 1000);

onKeys({ list, detail, togglePause, chooseTab, go });
route();
