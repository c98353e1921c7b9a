// The difference of two texts, line by line.

// The table of the longest common subsequence has this many cells at most (16 MB).
const MAX_CELLS = 4_000_000;

/**
 * Returns the lines of both texts as `{kind: "same" | "removed" | "added", text}`, or null if the texts differ in
 * too many lines to compare them.
 */
export function diffLines(before, after) {
  const left = before.split("\n");
  const right = after.split("\n");
  let start = 0;
  while (start < left.length && start < right.length && left[start] === right[start]) start += 1;
  let end = 0;
  while (
    end < left.length - start &&
    end < right.length - start &&
    left[left.length - 1 - end] === right[right.length - 1 - end]
  ) {
    end += 1;
  }
  const middle = compare(left.slice(start, left.length - end), right.slice(start, right.length - end));
  if (middle === null) return null;
  const same = (text) => ({ kind: "same", text });
  return [...left.slice(0, start).map(same), ...middle, ...left.slice(left.length - end).map(same)];
}

function compare(left, right) {
  const width = right.length + 1;
  if ((left.length + 1) * width > MAX_CELLS) return null;
  // lengths[i * width + j]: the longest common subsequence of left[i..] and right[j..].
  const lengths = new Uint32Array((left.length + 1) * width);
  for (let i = left.length - 1; i >= 0; i -= 1) {
    for (let j = right.length - 1; j >= 0; j -= 1) {
      const at = i * width + j;
      lengths[at] =
        left[i] === right[j] ? lengths[at + width + 1] + 1 : Math.max(lengths[at + width], lengths[at + 1]);
    }
  }
  const lines = [];
  let i = 0;
  let j = 0;
  while (i < left.length || j < right.length) {
    if (i < left.length && j < right.length && left[i] === right[j]) {
      lines.push({ kind: "same", text: left[i] });
      i += 1;
      j += 1;
    } else if (j === right.length || (i < left.length && lengths[(i + 1) * width + j] >= lengths[i * width + j + 1])) {
      lines.push({ kind: "removed", text: left[i] });
      i += 1;
    } else {
      lines.push({ kind: "added", text: right[j] });
      j += 1;
    }
  }
  return lines;
}

/** Returns rows of two columns: lines that replace each other stand side by side. */
export function sideBySide(lines) {
  const rows = [];
  let removed = [];
  let added = [];
  const flush = () => {
    for (let at = 0; at < Math.max(removed.length, added.length); at += 1) {
      rows.push({ left: removed[at] ?? null, right: added[at] ?? null, isSame: false });
    }
    removed = [];
    added = [];
  };
  for (const { kind, text } of lines) {
    if (kind === "removed") removed.push(text);
    else if (kind === "added") added.push(text);
    else {
      flush();
      rows.push({ left: text, right: text, isSame: true });
    }
  }
  flush();
  return rows;
}
