/**
 * The sessions of docs/reference/commands.md: commands and what they print, read from the page and compared but for numbers. A comment
 * `<!-- beside: ... -->` in front of a session names what happens meanwhile at the host's end; `<!-- inet only: ... -->` says why a session
 * looks different on another stack.
 */
import type { StackName } from './support.ts';

export interface Step {
  /** Without the leading `$ netmod`. */
  readonly command: string;
  readonly output: readonly string[];
}

export interface Session {
  /** Heading that it stands under. */
  readonly title: string;
  readonly beside: string | null;
  /** Why it is not replayed on `alt`; null: it is. */
  readonly inetOnly: string | null;
  readonly steps: readonly Step[];
  /** Lines of the page that the session's steps fill: from, and up to but without. */
  readonly from: number;
  readonly to: number;
}

const PROMPT = '$ netmod ';
/** Stands for lines left out. */
export const ELLIPSIS = '…';

export function readSessions(page: string): Session[] {
  const sessions: Session[] = [];
  const lines = page.split('\n');
  let title = '';
  let beside: string | null = null;
  let inetOnly: string | null = null;
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!;
    if (line.startsWith('## ')) title = line.slice(3);
    else if (line.startsWith('<!-- beside: ')) beside = line.slice('<!-- beside: '.length, -' -->'.length);
    else if (line.startsWith('<!-- inet only: ')) inetOnly = line.slice('<!-- inet only: '.length, -' -->'.length);
    else if (line === '```console') {
      const from = at + 1;
      const to = lines.indexOf('```', from);
      sessions.push({ title, beside, inetOnly, steps: readSteps(lines.slice(from, to)), from, to });
      beside = inetOnly = null;
      at = to;
    }
  }
  return sessions;
}

function readSteps(lines: readonly string[]): Step[] {
  const steps: { command: string; output: string[] }[] = [];
  for (const line of lines) {
    if (line.startsWith(PROMPT)) steps.push({ command: line.slice(PROMPT.length), output: [] });
    else steps.at(-1)?.output.push(line);
  }
  return steps;
}

/** A line with numbers, hardware addresses, identifiers and the width of columns taken out. */
export function plain(line: string): string {
  return line
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, 'UUID')
    .replace(/\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b/g, 'MAC')
    .replace(/[▁▂▃▄▅▆▇█]+/g, '')
    .replace(/\d+(\.\d+)*/g, '#')
    .replace(/#[KMGT](?=bit|\b)/g, '#')
    .replace(/\s+/g, ' ')
    .trim();
}

/** Is this what the page shows? `…` in the page stands for any number of lines. */
export function matches(shown: readonly string[], printed: readonly string[]): boolean {
  const [first, ...rest] = shown;
  if (first === undefined) return printed.length === 0;
  if (first.trim() === ELLIPSIS) {
    for (let skipped = 0; skipped <= printed.length; skipped++) if (matches(rest, printed.slice(skipped))) return true;
    return false;
  }
  const [line] = printed;
  return line !== undefined && plain(first) === plain(line) && matches(rest, printed.slice(1));
}

/** What was printed, as lines of a page: no spaces at the ends, tabs as they are. */
export function pageLines(printed: string): string[] {
  return printed === ''
    ? []
    : printed
        .replace(/\n$/, '')
        .split('\n')
        .map((line) => line.trimEnd());
}

/** What the page shows, on a boot of another stack: it says its own name. */
export function onStack(text: string, stack: StackName): string {
  return text
    .replaceAll('netstack_inet', `netstack_${stack}`)
    .replaceAll('- stack inet -', `- stack ${stack} -`)
    .replaceAll('stack="inet"', `stack="${stack}"`);
}
