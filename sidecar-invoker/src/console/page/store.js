// The invocations that the page knows, and those of them that its filter lets through.

/** The most invocations that the page keeps. The oldest one makes room. */
export const MAX_INVOCATIONS = 1000;

/** Results that can be chosen in the filter, with their test. */
export const RESULTS = {
  failures: ["Failures", (one) => one.state === "done" && isFailure(one)],
  success: ["Success", (one) => one.outcome === "success"],
  running: ["Running", (one) => one.state === "running"],
  "2xx": ["2xx", (one) => hundreds(one) === 2],
  "3xx": ["3xx", (one) => hundreds(one) === 3],
  "4xx": ["4xx", (one) => hundreds(one) === 4],
  "5xx": ["5xx", (one) => hundreds(one) === 5],
  function_error: ["Function errors", (one) => one.outcome === "function_error"],
  timed_out: ["Timed out", (one) => one.outcome === "timed_out"],
  throttled: ["Throttled", (one) => one.outcome === "throttled"],
  refused: ["Refused", (one) => one.outcome === "refused"],
  failed: ["Failed", (one) => one.outcome === "failed"],
  abandoned: ["Abandoned", (one) => one.outcome === "abandoned"],
  cold: ["Cold starts", (one) => one.cold_start],
};

/** Returns whether an invocation that is done did not end well, for its client or by its outcome. */
export function isFailure(one) {
  return one.outcome !== "success" || (one.status ?? 0) >= 500;
}

function hundreds(one) {
  return Math.floor((one.status ?? 0) / 100);
}

/** The invocations by id, oldest first, bounded, with a still picture of them while the list is paused. */
export class Store {
  constructor() {
    this.invocations = new Map();
    this.missed = 0;
    this.picture = null;
    this.newest = 0;
  }

  get isPaused() {
    return this.picture !== null;
  }

  /** Stores a summary that is new or has changed. */
  put(summary) {
    if (summary.id <= this.newest - MAX_INVOCATIONS) return;
    this.invocations.set(summary.id, summary);
    this.newest = Math.max(this.newest, summary.id);
    if (this.invocations.size > MAX_INVOCATIONS) {
      this.invocations.delete(this.invocations.keys().next().value);
    }
  }

  /** Replaces everything by the list of the server. */
  replace(summaries) {
    this.#empty();
    for (const summary of summaries.slice(-MAX_INVOCATIONS)) this.put(summary);
  }

  clear() {
    this.#empty();
    if (this.isPaused) this.pause();
  }

  #empty() {
    this.invocations.clear();
    this.missed = 0;
    this.newest = 0;
  }

  pause() {
    this.picture = { invocations: [...this.invocations.values()], newest: this.newest };
  }

  resume() {
    this.picture = null;
  }

  /** Returns the number of invocations that came since the list was paused. */
  get waiting() {
    return this.picture ? Math.max(0, this.newest - this.picture.newest) : 0;
  }

  /** Returns the invocations that pass the filter, newest first. */
  visible(filter) {
    const all = this.picture?.invocations ?? [...this.invocations.values()];
    return all.filter((one) => matches(one, filter)).sort((one, other) => other.id - one.id);
  }

  /** Returns the names of the functions that were called. */
  functions() {
    return new Set([...this.invocations.values()].map((one) => one.function));
  }
}

/** Returns whether an invocation passes `{words, function, result}`. */
export function matches(one, { words, name, result }) {
  if (name && one.function !== name) return false;
  if (result && !RESULTS[result][1](one)) return false;
  if (words.length === 0) return true;
  const fields = [one.method, one.target, one.function, one.version, one.status, one.outcome, one.cause];
  const text = [...fields, one.request_id, one.format, one.backend].join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}
