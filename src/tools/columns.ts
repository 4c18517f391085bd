/** Text in columns, as the commands print it. */

/** A column: its head, and whether its values stand at the right. */
export interface Column {
  readonly head: string;
  readonly right?: boolean;
}

/** Rows under their heads, columns as wide as they must be, two spaces between them, no spaces at the ends of lines. */
export function columns(heads: readonly (string | Column)[], rows: readonly (readonly string[])[]): string {
  const cols = heads.map((head) => (typeof head === 'string' ? { head } : head));
  const widths = cols.map((col, i) => rows.reduce((width, row) => Math.max(width, (row[i] ?? '').length), col.head.length));
  const line = (cells: readonly string[]): string =>
    cols
      .map((col, i) => {
        const cell = cells[i] ?? '';
        const width = widths[i] ?? 0;
        return 'right' in col && col.right === true ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd();
  return [line(cols.map((col) => col.head)), ...rows.map(line)].join('\n');
}

const UNITS = ['', 'K', 'M', 'G', 'T'] as const;

/** A number of three digits or so with a prefix of 1000: 999, 1.2K, 45.6M. */
export function human(value: number): string {
  let unit = 0;
  let n = value;
  while (n >= 1000 && unit < UNITS.length - 1) {
    n /= 1000;
    unit++;
  }
  return unit === 0 ? String(Math.round(n)) : `${n >= 100 ? Math.round(n) : n.toFixed(1)}${UNITS[unit]}`;
}
