// @ts-check
/** A stack alone in a namespace, and the loads that `profile.mjs` and `jit.mjs` watch it under. */
import { join } from 'node:path';
import { Children } from './child.mjs';
import { BenchError, OUT, ROOT } from './need.mjs';
import { Namespaces, TARGET } from './netns.mjs';
import { bootOptions } from './peers.mjs';

/** @type {Readonly<Record<string, { readonly what: string, readonly argv: readonly string[] }>>} */
export const LOADS = {
  in: { what: 'TCP in, 1 connection', argv: [join(OUT, 'client'), 'send', `${TARGET}:9`] },
  out: { what: 'TCP out, 1 connection', argv: [join(OUT, 'client'), 'receive', `${TARGET}:19`] },
  http: {
    what: 'HTTP hello, 32 connections',
    argv: ['wrk', '-t1', '-c32', '-s', join(ROOT, 'bench/wrk.lua'), `http://${TARGET}/`],
  },
  connect: {
    what: 'connect, GET, close, 8 at once',
    argv: [join(OUT, 'client'), 'connect', `${TARGET}:80`, '-c', '8', '-i', '8'],
  },
  udp: { what: 'UDP echo, 64 outstanding', argv: [join(OUT, 'client'), 'udp', `${TARGET}:7`, '-w', '64'] },
  echo: { what: 'TCP echo, 8 connections', argv: [join(OUT, 'client'), 'tcp', `${TARGET}:7`, '-c', '8'] },
  in1000: { what: 'TCP in, 1000 connections', argv: [join(OUT, 'client'), 'send', `${TARGET}:9`, '-c', '1000', '-b', '16384'] },
};

/**
 * Boots a stack under `node` with `nodeOptions`, lets `use` work with it, stops it in order, and removes everything.
 * @template T
 * @param {{ boot: string, stack: string, nodeOptions: readonly string[] }} how
 * @param {(loaded: { load: (name: string, seconds: number) => Promise<Record<string, number>>, startedAt: number }) => Promise<T>} use
 * @returns {Promise<T>}
 */
export async function withStack({ boot, stack, nodeOptions }, use) {
  const children = new Children();
  const namespaces = new Namespaces('reno');
  const cleanUp = () => {
    children.killAll();
    namespaces.removeAll();
  };
  const onSignal = () => {
    cleanUp();
    process.exit(130);
  };
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  try {
    const ns = namespaces.create(stack);
    const startedAt = performance.now();
    const target = await children.target(ns, [process.execPath, ...nodeOptions, boot, ...bootOptions(stack)]);
    namespaces.addSources(ns, 'tap0');
    const used = await use({
      startedAt,
      load: async (name, seconds) => {
        const { argv } = /** @type {{ argv: readonly string[] }} */ (LOADS[name]);
        const time = argv[0] === 'wrk' ? [`-d${Math.max(1, Math.round(seconds))}s`] : ['-t', String(seconds), '-W', '0.2'];
        const done = await children.client(ns, [...argv, ...time], { limitMs: seconds * 1000 + 20_000 });
        const line = done.stdout.split('\n').find((text) => text.startsWith('{'));
        if (line === undefined)
          throw new BenchError(`${stack}, load ${name}: ${done.stderr.trim().slice(-200)} ${target.err.text.slice(-300)}`);
        return JSON.parse(line);
      },
    });
    await children.stop(target.child);
    return used;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    cleanUp();
  }
}
