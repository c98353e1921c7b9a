// The invoker's HTTP API below /console/api/, and its stream of events.

/** An answer of the API that is no success. The message is a sentence for the user. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Calls the API and returns its JSON. */
export async function call(path, method = "GET", body = undefined) {
  let response;
  try {
    response = await fetch(`api/${path}`, {
      method,
      cache: "no-store",
      // A form of another page cannot send this type.
      headers: method === "GET" ? {} : { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new ApiError(0, "The invoker does not answer. Is it still running?");
  }
  const text = await response.text();
  let value = null;
  try {
    value = text === "" ? null : JSON.parse(text);
  } catch {
    // The error below has the text itself.
  }
  if (response.ok) return value;
  throw new ApiError(response.status, value?.error ?? value?.message ?? (text || `HTTP ${response.status}`));
}

const FIRST_RETRY = 500;
const LONGEST_RETRY = 10_000;
const TICK = 5_000;
// A timer that is so late ran on a machine that slept.
const SLEPT = 20_000;

/**
 * The stream of events, which is connected anew whenever it breaks. EventSource itself gives up after an HTTP
 * error, and a machine that slept may hold a connection that is dead without a sign.
 */
export class Stream {
  /**
   * `handlers` has a function for each event, `synchronise()`, which fetches what is there and returns the place in
   * the stream behind it, `opened()` and `closed(error)`.
   */
  constructor(handlers) {
    this.handlers = handlers;
    this.retry = FIRST_RETRY;
    this.timer = 0;
    this.connection = 0;
    this.lastTick = Date.now();
    setInterval(() => this.#tick(), TICK);
    addEventListener("online", () => this.connect());
    document.addEventListener("visibilitychange", () => this.#tick());
    this.connect();
  }

  async connect() {
    clearTimeout(this.timer);
    this.source?.close();
    this.connection += 1;
    const connection = this.connection;
    let place;
    try {
      place = await this.handlers.synchronise();
    } catch (error) {
      if (connection === this.connection) this.#lost(error);
      return;
    }
    if (connection !== this.connection) return;
    const source = new EventSource(`api/stream?after=${encodeURIComponent(place)}`);
    this.source = source;
    source.onopen = () => {
      this.retry = FIRST_RETRY;
      this.handlers.opened();
    };
    source.onerror = () => {
      source.close();
      this.#lost(null);
    };
    for (const name of ["invocation", "functions", "missed", "cleared"]) {
      source.addEventListener(name, (event) => this.handlers[name](JSON.parse(event.data)));
    }
  }

  #lost(error) {
    this.handlers.closed(error);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.connect(), this.retry);
    this.retry = Math.min(this.retry * 2, LONGEST_RETRY);
  }

  #tick() {
    const now = Date.now();
    const late = now - this.lastTick - TICK;
    // Browsers slow the timers of hidden pages down.
    if (document.hidden) return;
    this.lastTick = now;
    if (late > SLEPT) this.connect();
  }
}
