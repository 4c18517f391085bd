// @ts-check
/** Child processes: clients that run to their end, and targets that are stopped. None outlives the bench. */
import { spawn } from 'node:child_process';

const STOP_LIMIT_MS = 8000;

/**
 * The command in a namespace, in a session of its own (Ctrl-C is for the bench alone), killed by the kernel when the bench is. Each
 * of these programs replaces itself by the next: the pid is the command's.
 * @param {string} ns @param {string[]} argv @param {number | null} [core]
 */
function inside(ns, argv, core = null) {
  const pinned = core === null ? argv : ['taskset', '-c', String(core), ...argv];
  return ['setpriv', '--pdeathsig', 'KILL', '--', 'ip', 'netns', 'exec', ns, ...pinned];
}

export class Children {
  /** @type {Set<import('node:child_process').ChildProcess>} */
  #running = new Set();

  /** @param {string[]} argv */
  #spawn(argv) {
    const [command = '', ...args] = argv;
    const child = spawn(command, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#running.add(child);
    child.once('close', () => this.#running.delete(child));
    return child;
  }

  /**
   * Runs a client to its end.
   * @param {string} ns @param {string[]} argv @param {{ limitMs: number, core?: number | null }} options
   * @returns {Promise<{ status: number | null, stdout: string, stderr: string }>} status null: it was killed
   */
  client(ns, argv, { limitMs, core = null }) {
    const child = this.#spawn(inside(ns, argv, core));
    const out = collect(child.stdout);
    const err = collect(child.stderr);
    const limit = setTimeout(() => child.kill('SIGKILL'), limitMs);
    return new Promise((resolve) => {
      child.once('error', (error) => resolve({ status: null, stdout: '', stderr: error.message }));
      child.once('close', (status) => {
        clearTimeout(limit);
        resolve({ status, stdout: out.text, stderr: status === null && err.text === '' ? 'it took too long' : err.text });
      });
    });
  }

  /**
   * Starts a target and waits for the line that begins with `ready`. Rejects with what it said instead.
   * @param {string} ns @param {string[]} argv
   */
  async target(ns, argv) {
    const child = this.#spawn(inside(ns, argv));
    const out = collect(child.stdout);
    const err = collect(child.stderr);
    const deadline = Date.now() + 20_000;
    while (!/^ready/m.test(out.text)) {
      if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) {
        child.kill('SIGKILL');
        throw new Error(
          `${argv.slice(0, 3).join(' ')} did not get ready: ${err.text.trim().slice(-300) || out.text.slice(-300)}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return { child, pid: /** @type {number} */ (child.pid), out, err };
  }

  /** Ends a target in order; what hangs is killed. @param {import('node:child_process').ChildProcess} child */
  async stop(child) {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('close', resolve));
    const limit = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
    child.kill('SIGTERM');
    await gone;
    clearTimeout(limit);
  }

  killAll() {
    for (const child of this.#running) child.kill('SIGKILL');
  }
}

/** @param {import('node:stream').Readable} stream */
function collect(stream) {
  const kept = { text: '' };
  stream.setEncoding('utf8');
  stream.on('data', (text) => {
    kept.text += text;
  });
  return kept;
}
