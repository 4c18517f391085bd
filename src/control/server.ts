/** The control socket: a UNIX stream socket of the host that only its owner may open (unix(7)). */
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import type { Kernel } from '../kern/kernel.ts';
import { ControlClient, ControlCounters } from './client.ts';
import { CLIENTS_MAX } from './limits.ts';
import { Reaper } from './reaper.ts';
import { Turns } from './turns.ts';

export interface ControlServer {
  readonly path: string;
  /** Ends all clients and removes the socket's file. */
  close(): Promise<void>;
}

/** Time for clients to read their last lines when the boot ends, in milliseconds. */
const LINGER_MS = 200;
/** Longest path of a UNIX socket in Linux, in bytes (sun_path without its end). */
const PATH_MAX = 107;

/** Opens the control socket. Rejects with an error whose message says in one line what is in the way. */
export async function startControl(kernel: Kernel, file: string): Promise<ControlServer> {
  if (Buffer.byteLength(file) > PATH_MAX) throw new Error(`control socket ${file}: the path is longer than ${PATH_MAX} bytes`);
  await clearPath(file);
  const counters = new ControlCounters();
  const turns = new Turns(kernel.effects);
  const reaper = new Reaper(turns);
  const clients = new Map<net.Socket, ControlClient>();
  let serial = 0;
  const server = net.createServer((socket) => {
    if (clients.size >= CLIENTS_MAX) {
      counters.refused++;
      socket.on('error', () => socket.destroy());
      // Nobody will read what it sends, and so nobody would hear of its end.
      socket.once('finish', () => socket.destroy());
      socket.end(`${JSON.stringify({ id: null, errno: 'EMFILE', message: `there are ${CLIENTS_MAX} clients already` })}\n`);
      return;
    }
    counters.clients++;
    socket.once('close', () => clients.delete(socket));
    clients.set(socket, new ControlClient(kernel, socket, `ctl${serial++}`, counters, turns, reaper));
  });
  await listenPrivately(server, file);
  const uncount = kernel.counters.add('control', counters, { gauges: ['membytes', 'streams'] });
  return {
    path: file,
    close: () =>
      new Promise((resolve) => {
        uncount();
        server.close(() => resolve());
        for (const [socket, client] of clients) {
          client.shutdown();
          socket.destroySoon();
        }
        reaper.finish();
        // Who has not read by then will not.
        setTimeout(() => {
          for (const socket of clients.keys()) socket.destroy();
        }, LINGER_MS).unref();
      }),
  };
}

/** Makes the directory, and removes the socket of a boot that is gone. */
async function clearPath(file: string): Promise<void> {
  try {
    fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o755 });
  } catch (error) {
    throw new Error(`control socket ${file}: cannot make its directory (${codeOf(error)})`, { cause: error });
  }
  const stat = fs.lstatSync(file, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) throw new Error(`control socket ${file}: there is a file of that name that is not a socket`);
  if (await answers(file)) throw new Error(`control socket ${file}: another boot answers there; choose another with --ctl=PATH`);
  fs.rmSync(file, { force: true });
}

/** Is somebody listening? */
function answers(file: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = net.connect(file);
    const tell = (alive: boolean): void => {
      probe.destroy();
      resolve(alive);
    };
    probe.once('connect', () => tell(true));
    // A full backlog is EAGAIN: somebody is there.
    probe.once('error', (error) => tell(!['ECONNREFUSED', 'ENOENT'].includes(codeOf(error))));
  });
}

/** The file is private from its first moment. */
function listenPrivately(server: net.Server, file: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) =>
      reject(new Error(`control socket ${file}: cannot listen (${codeOf(error)})`, { cause: error })),
    );
    const umask = process.umask(0o177);
    try {
      server.listen(file, 128, () => {
        fs.chmodSync(file, 0o600);
        resolve();
      });
    } finally {
      process.umask(umask);
    }
  });
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
