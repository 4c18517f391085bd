/** How a boot ends when it cannot go on: one line on standard error, and an exit status. */

/** Status 2: the user asked for something that cannot be; 1: the machine does not give it. */
export class BootFailure extends Error {
  readonly status: 1 | 2;

  constructor(status: 1 | 2, message: string) {
    super(message.replace(/\s*\n\s*/g, ' '));
    this.status = status;
  }
}

/** The name among `names` that `text` was probably meant to be, or null. */
export function nearest(text: string, names: Iterable<string>): string | null {
  let best: string | null = null;
  // Up to a third of the letters may be wrong, and two in a short name.
  let limit = Math.max(2, Math.floor(text.length / 3)) + 1;
  for (const name of names) {
    const d = distance(text, name);
    if (d >= limit) continue;
    best = name;
    limit = d;
  }
  return best;
}

/** `; did you mean --mtu?`, or nothing. */
export function didYouMean(text: string, names: Iterable<string>, prefix = ''): string {
  const name = nearest(text, names);
  return name === null ? '' : `; did you mean ${prefix}${name}?`;
}

/** Levenshtein's distance: the fewest letters to insert, delete or replace. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
