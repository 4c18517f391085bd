/**
 * Network namespaces for tests: made under a unique name, commands and boots run inside, everything removed afterwards. Nothing here
 * touches the host's own network. Where the machine cannot do it, the tests are skipped with the reason; with NETMOD_REQUIRE_NETNS=1
 * (CI) that is a failure.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { accessSync, closeSync, constants, existsSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, it } from 'vitest';

export const ROOT = resolve(import.meta.dirname, '../..');
export const BOOT = join(ROOT, 'dist/boot.js');

/** Why this machine cannot run the namespace tests, or null. */
export const netnsReason: string | null = findReason();

function findReason(): string | null {
  if (process.platform !== 'linux') return 'Linux only';
  if (process.getuid?.() !== 0) return 'needs root';
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK);
    closeSync(openSync('/dev/net/tun', 'r+'));
  } catch (err) {
    return `/dev/net/tun: ${(err as Error).message}`;
  }
  for (const [cmd, arg] of [
    ['ip', '-V'],
    ['ping', '-V'],
    ['curl', '-V'],
  ] as const) {
    if (spawnSync(cmd, [arg]).status !== 0) return `no ${cmd} command`;
  }
  const name = `netmod-probe-${process.pid}`;
  const made = spawnSync('ip', ['netns', 'add', name], { encoding: 'utf8' });
  if (made.status !== 0) return `no network namespaces: ${made.stderr.trim()}`;
  spawnSync('ip', ['netns', 'del', name]);
  return null;
}

/** `describe` for what needs namespaces and a build. */
export function describeNetns(name: string, body: () => void): void {
  if (netnsReason !== null && process.env.NETMOD_REQUIRE_NETNS === '1') {
    describe(name, () => {
      it('has network namespaces', () => {
        throw new Error(`NETMOD_REQUIRE_NETNS=1, but: ${netnsReason}`);
      });
    });
  } else if (netnsReason !== null) {
    describe.skip(`${name} (skipped: ${netnsReason})`, body);
  } else if (!existsSync(BOOT)) {
    describe(name, () => {
      it('is built', () => {
        throw new Error('dist/boot.js is missing: npm run build');
      });
    });
  } else {
    describe(name, body);
  }
}

/** Skips a test that needs a command the machine lacks; fails instead where skips are failures. */
export function hasCommand(cmd: string): boolean {
  if (spawnSync('sh', ['-c', `command -v ${cmd}`]).status === 0) return true;
  if (process.env.NETMOD_REQUIRE_NETNS === '1') throw new Error(`NETMOD_REQUIRE_NETNS=1, but no ${cmd} command`);
  return false;
}

export interface Done {
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** What is alive and must be gone when this process is. */
const alive = { namespaces: new Set<string>(), children: new Set<ChildProcess>() };
process.once('exit', () => {
  for (const child of alive.children) child.kill('SIGKILL');
  for (const name of alive.namespaces) spawnSync('ip', ['netns', 'del', name]);
});

function track(child: ChildProcess): ChildProcess {
  alive.children.add(child);
  child.once('exit', () => alive.children.delete(child));
  return child;
}

/** Runs a command to its end; after `timeoutMs` it is killed and the promise is rejected. */
export function run(argv: readonly string[], options: { timeoutMs?: number; input?: string } = {}): Promise<Done> {
  const { timeoutMs = 60_000, input } = options;
  const [cmd = '', ...args] = argv;
  const child = track(spawn(cmd, args, { stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'] }));
  if (input !== undefined) child.stdin?.end(input);
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (s: string) => (stdout += s));
  child.stderr?.setEncoding('utf8').on('data', (s: string) => (stderr += s));
  return new Promise((resolveRun, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`${argv.join(' ')}: no end within ${timeoutMs} ms\n${stdout}${stderr}`));
    }, timeoutMs);
    child.once('error', (err) => {
      clearTimeout(timer);
      reject(err);
    });
    child.once('close', (status, signal) => {
      clearTimeout(timer);
      resolveRun({ status, signal, stdout, stderr });
    });
  });
}

async function must(argv: readonly string[]): Promise<string> {
  const done = await run(argv);
  if (done.status !== 0) throw new Error(`${argv.join(' ')}: ${done.stderr.trim()}`);
  return done.stdout;
}

const counter = { next: 0 };

export class Netns {
  readonly name: string;
  /** A private folder for sockets and files, removed with the namespace. */
  readonly dir: string;
  readonly #boots = new Set<Boot>();

  private constructor(name: string, dir: string) {
    this.name = name;
    this.dir = dir;
  }

  static async create(): Promise<Netns> {
    const name = `netmod-t${process.pid}-${counter.next++}`;
    await must(['ip', 'netns', 'add', name]);
    alive.namespaces.add(name);
    await must(['ip', '-n', name, 'link', 'set', 'lo', 'up']);
    return new Netns(name, mkdtempSync(join(tmpdir(), 'netmod-t-')));
  }

  /** The command line that runs `argv` in here. `ip` replaces itself by the command, so the child's pid is the command's. */
  argv(argv: readonly string[]): string[] {
    return ['ip', 'netns', 'exec', this.name, ...argv];
  }

  /** Runs a command in here to its end. */
  exec(argv: readonly string[], options: { timeoutMs?: number; input?: string } = {}): Promise<Done> {
    return run(this.argv(argv), options);
  }

  /** Runs a command in here that must succeed, and returns what it printed. */
  async must(argv: readonly string[], options: { timeoutMs?: number; input?: string } = {}): Promise<string> {
    const done = await this.exec(argv, options);
    if (done.status !== 0) throw new Error(`${argv.join(' ')}: status ${done.status}\n${done.stdout}${done.stderr}`);
    return done.stdout;
  }

  /** Starts a command in here that goes on. */
  spawn(argv: readonly string[]): ChildProcess {
    const [cmd = '', ...args] = this.argv(argv);
    return track(spawn(cmd, args, { stdio: ['ignore', 'pipe', 'pipe'] }));
  }

  /** Starts `boot.js` and waits for its ready line. The control socket is in `dir` unless the options say otherwise. `node`: options for Node itself. */
  async boot(options: readonly string[], wait: { timeoutMs?: number; node?: readonly string[] } = {}): Promise<Boot> {
    const ctl = options.some((o) => o.startsWith('--ctl=')) ? [] : [`--ctl=${join(this.dir, `ctl${counter.next++}.sock`)}`];
    const boot = new Boot(this.spawn([process.execPath, ...(wait.node ?? []), BOOT, ...ctl, ...options]));
    this.#boots.add(boot);
    await boot.ready(wait.timeoutMs ?? 20_000);
    return boot;
  }

  async remove(): Promise<void> {
    for (const boot of this.#boots) await boot.stop('SIGKILL');
    spawnSync('ip', ['netns', 'del', this.name]);
    alive.namespaces.delete(this.name);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** A running `boot.js`. */
export class Boot {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  readonly #closed: Promise<Done>;

  constructor(child: ChildProcess) {
    this.child = child;
    child.stdout?.setEncoding('utf8').on('data', (s: string) => (this.stdout += s));
    child.stderr?.setEncoding('utf8').on('data', (s: string) => (this.stderr += s));
    this.#closed = new Promise((done) => {
      child.once('close', (status, signal) => done({ status, signal, stdout: this.stdout, stderr: this.stderr }));
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  get readyLine(): string {
    return this.stdout.split('\n')[0] ?? '';
  }

  /** Path of the control socket, as the ready line has it. */
  get ctl(): string {
    return /(?:^| )ctl=(\S+)/.exec(this.readyLine)?.[1] ?? '';
  }

  ready(timeoutMs: number): Promise<void> {
    return new Promise((resolveReady, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`not ready within ${timeoutMs} ms:\n${this.stdout}${this.stderr}`)),
        timeoutMs,
      );
      const look = (): void => {
        if (!this.stdout.includes('\n')) return;
        clearTimeout(timer);
        resolveReady();
      };
      this.child.stdout?.on('data', look);
      look();
      void this.#closed.then((done) => {
        clearTimeout(timer);
        reject(new Error(`ended with ${done.status ?? done.signal} before it was ready:\n${done.stdout}${done.stderr}`));
      });
    });
  }

  /** Waits for the end. */
  exited(): Promise<Done> {
    return this.#closed;
  }

  /** Asks it to end, and waits; after 10 s it is killed, which shows as a signal in the answer. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Done> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 10_000);
    const done = await this.#closed;
    clearTimeout(timer);
    return done;
  }
}
