/**
 * What all commands have in common. A command is a function of a client and options that answers data, a function that makes text of
 * that data, and an entry for the program `netmod` that joins the two; programs may call the functions themselves.
 */
import type { Command } from 'commander';
import type { Client } from '../client/client.ts';

/** Wrong words on the command line; the message says what is accepted. The program ends with status 2. */
export class UsageError extends Error {}

/** What a command could not do; the message is for people. The program ends with status 1. */
export class ToolError extends Error {}

/** What the program hands to a command. */
export interface ToolContext {
  /** Connected to the boot. */
  readonly client: Client;
  /** Print data instead of text. */
  readonly json: boolean;
  /** Where text goes; a live view needs to know the size of the screen. */
  readonly screen: Screen;
  /** Aborted when the user wants the command to end (SIGINT, SIGTERM, a closed pipe). */
  readonly until: AbortSignal;
  /** Runs another command with the same client: `setfib 1 ping ...`. */
  run(argv: readonly string[]): Promise<number>;
}

/** What a command has that needs no boot. */
export type OfflineContext = Omit<ToolContext, 'client' | 'run'>;

export interface Screen {
  /** A line, or several; ends with a newline always. */
  print(text: string): void;
  /** Text or bytes as they are; done when there is room for more, or nobody reads any longer. */
  write(data: string | Uint8Array): Promise<void>;
  /** A line on stderr. */
  warn(text: string): void;
  readonly isTty: boolean;
  columns(): number;
  rows(): number;
  /** Tells keys as they are pressed, until the answer is called; null where there is no keyboard. */
  readonly keys: ((onKey: (key: string) => void) => () => void) | null;
}

/** A command of the program. */
export interface Tool {
  readonly name: string;
  /** One sentence. */
  readonly summary: string;
  /** What may follow the name, as in a manual page's synopsis. */
  readonly usage: string;
  /** Words that begin with a dash are the command's own (`ifconfig tap0 -alias`). */
  readonly ownDashes?: boolean;
  /** Declares options, and what `--help` says at its end. */
  define?(command: Command): void;
  /** Runs without a boot where the options say so, and answers the exit status; null: a boot is needed. Before `run`. */
  runOffline?(
    context: OfflineContext,
    words: readonly string[],
    options: Readonly<Record<string, unknown>>,
  ): Promise<number | null>;
  /** `words`: what is left on the command line; `options`: what `define` declared. Answers the exit status. */
  run(context: ToolContext, words: readonly string[], options: Readonly<Record<string, unknown>>): Promise<number>;
}

/** Prints data as JSON, or the text made of it. */
export function show<T>({ json, screen }: ToolContext, data: T, format: (data: T) => string): void {
  const text = json ? JSON.stringify(data, null, 2) : format(data);
  if (text !== '') screen.print(text);
}

/** One JSON object a line: for what goes on and on. */
export function showLine<T>({ json, screen }: ToolContext, data: T, format: (data: T) => string): void {
  screen.print(json ? JSON.stringify(data) : format(data));
}

/** A word that must be there. */
export function need(words: readonly string[], at: number, what: string): string {
  const word = words[at];
  if (word === undefined) throw new UsageError(`${what} is missing`);
  return word;
}

/** A whole number in decimal or 0x, within limits. */
export function wholeNumber(text: string, what: string, min: number, max: number): number {
  const value = /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : NaN;
  if (!(value >= min && value <= max)) throw new UsageError(`${what} is a whole number from ${min} to ${max}, not '${text}'`);
  return value;
}

/** Waits, but not longer than the command. */
export function sleep(ms: number, until: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (until.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      until.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    until.addEventListener('abort', done);
  });
}
