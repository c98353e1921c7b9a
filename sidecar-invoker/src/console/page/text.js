// Figures, times and documents as text.

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const COUNT = new Intl.NumberFormat("en");

export const count = (number) => COUNT.format(number);
export const clock = (epoch) => `${CLOCK.format(epoch)}.${String(Math.floor(epoch % 1000)).padStart(3, "0")}`;
export const date = (epoch) => DATE.format(epoch);

/** Returns a number of things: `1 line`, `2 lines`. */
export function counted(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** Returns a duration with three digits: `0.42 ms`, `17.3 ms`, `2.31 s`, `4 min 5 s`. */
export function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 0.995) return `${Number(ms.toPrecision(2))} ms`;
  if (ms < 999.5) return `${Number(ms.toPrecision(3))} ms`;
  if (ms < 60_000) return `${Number((ms / 1000).toPrecision(3))} s`;
  return seconds(ms / 1000);
}

/** Returns an age: `12 s`, `4 min 5 s`, `3 h 20 min`, `2 d 1 h`. */
export function seconds(number) {
  const whole = Math.round(number);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

/** Returns a size in powers of 1,000: `512 B`, `1.4 kB`, `6.29 MB`. */
export function bytes(size) {
  if (size < 1000) return `${size} B`;
  if (size < 999_500) return `${Number((size / 1000).toPrecision(3))} kB`;
  return `${Number((size / 1e6).toPrecision(3))} MB`;
}

// Longer text is shown as it is: to lay it out takes longer than a reader waits.
const MAX_PRETTY = 2_000_000;

/** Returns the value of JSON, or undefined. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Returns JSON with line breaks, or null if the text is none. Numbers, escapes and the order of members stay as
 * they are, which `JSON.stringify` would change.
 */
export function pretty(text) {
  if (text.length > MAX_PRETTY || !/^\s*[[{]/.test(text) || parsed(text) === undefined) return null;
  const tokens = text.match(/"[^"\\]*(?:\\.[^"\\]*)*"|[[\]{},:]|[^\s[\]{},:"]+/g) ?? [];
  let out = "";
  let depth = 0;
  tokens.forEach((token, at) => {
    const isEmpty = (token === "]" || token === "}") && (tokens[at - 1] === "[" || tokens[at - 1] === "{");
    if (token === "[" || token === "{") {
      depth += 1;
      const next = tokens[at + 1];
      out += token + (next === "]" || next === "}" ? "" : line(depth));
    } else if (token === "]" || token === "}") {
      depth -= 1;
      out += (isEmpty ? "" : line(depth)) + token;
    } else if (token === ",") out += token + line(depth);
    else out += token === ":" ? ": " : token;
  });
  return out;
}

const line = (depth) => `\n${"  ".repeat(depth)}`;

/** Returns the text of a body for reading: JSON in lines, other text as it came. */
export function readable(body) {
  if (body?.text === undefined) return body?.base64 ?? "";
  return pretty(body.text) ?? body.text;
}

/** Returns an HTTP message as text, for a comparison. */
export function messageText(message) {
  const first = message.status === undefined ? `${message.method} ${message.target}` : `HTTP ${message.status}`;
  const headers = message.headers.map(([name, value]) => `${name}: ${value}`);
  return [first, ...headers, "", readable(message.body)].join("\n");
}
