/** What `connect()` takes, in all its forms, and how its host becomes an address. */
import type { SockAddr } from '../kern/socket/protosw.ts';
import { anyAddr, isIP, parseSockAddr } from './address.ts';
import { ApiError, checkPort } from './errors.ts';

export interface SocketOptions {
  /** Keep the writing side open when the peer has ended its own. */
  allowHalfOpen?: boolean;
  signal?: AbortSignal;
  highWaterMark?: number;
}

/** As Node's `dns.lookup`: answers one address. */
export type Lookup = (
  hostname: string,
  options: { family?: number; hints?: number; all?: boolean },
  done: (err: Error | null, address: string | { address: string; family: number }[], family?: number) => void,
) => void;

export interface ConnectOptions extends SocketOptions {
  port?: number | string;
  host?: string;
  /** A name in the kernel's local domain, instead of host and port. */
  path?: string;
  localAddress?: string;
  localPort?: number;
  family?: number;
  lookup?: Lookup;
  noDelay?: boolean;
  keepAlive?: boolean;
  /** Milliseconds. */
  keepAliveInitialDelay?: number;
  timeout?: number;
}

export type ConnectArgs =
  | [options: ConnectOptions, connected?: () => void]
  | [port: number | string, host?: string, connected?: () => void]
  | [port: number | string, connected?: () => void]
  | [path: string, connected?: () => void];

export function normalizeConnect(args: readonly unknown[]): { options: ConnectOptions; callback: (() => void) | null } {
  const last = args.at(-1);
  const callback = typeof last === 'function' ? (last as () => void) : null;
  const [first, second] = args;
  if (typeof first === 'object' && first !== null) return { options: first as ConnectOptions, callback };
  if (typeof first === 'string' && !/^\s*\d+\s*$/.test(first)) return { options: { path: first }, callback };
  if (typeof first !== 'number' && typeof first !== 'string') {
    throw new ApiError('ERR_MISSING_ARGS', 'The "options" or "port" or "path" argument must be specified');
  }
  return { options: typeof second === 'string' ? { port: first, host: second } : { port: first }, callback };
}

/** The one who connects: hears of a name that was looked up. */
interface Asker {
  emit(event: 'lookup', err: Error | null, address: string | undefined, family: number | undefined, host: string): boolean;
}

/**
 * Finds the address that `options` name. A numeric host and `localhost` need nobody; other names go to `options.lookup`, and are
 * ENOTFOUND without it.
 */
export function resolveTarget(
  asker: Asker,
  options: ConnectOptions,
  done: (err: Error | undefined, target: SockAddr | null) => void,
): void {
  if (options.path !== undefined) return done(undefined, { kind: 'local', path: options.path });
  if (options.port === undefined)
    throw new ApiError('ERR_MISSING_ARGS', 'The "options" or "port" or "path" argument must be specified');
  const port = checkPort(options.port);
  checkPort(options.localPort ?? 0);
  if (options.localAddress !== undefined && isIP(options.localAddress) === 0)
    throw new ApiError('ERR_INVALID_IP_ADDRESS', `Invalid IP address: ${options.localAddress}`);
  const host = options.host ?? 'localhost';
  const numeric = parseSockAddr(host, port);
  if (numeric !== null) return done(undefined, numeric);
  const lookup = options.lookup ?? lookupLocalhost;
  lookup(host, { family: options.family ?? 0, all: false }, (err, found, family) => {
    const one = typeof found === 'string' || found === undefined ? found : found[0]?.address;
    asker.emit('lookup', err, one, family, host);
    const target = err === null && one !== undefined ? parseSockAddr(one, port) : null;
    done(target === null ? (err ?? notFound(host)) : undefined, target);
  });
}

const lookupLocalhost: Lookup = (hostname, _options, done) => {
  if (hostname === 'localhost') done(null, '127.0.0.1', 4);
  else process.nextTick(done, notFound(hostname), '');
};

function notFound(hostname: string): Error {
  return Object.assign(new Error(`getaddrinfo ENOTFOUND ${hostname}`), { code: 'ENOTFOUND', syscall: 'getaddrinfo', hostname });
}

/** The address to bind before connecting, checked by `resolveTarget`; null when the stack may choose. */
export function localAddrOf(target: SockAddr, options: ConnectOptions): SockAddr | null {
  const { localAddress, localPort = 0 } = options;
  if (target.kind === 'local' || (localAddress === undefined && localPort === 0)) return null;
  if (localAddress === undefined) return anyAddr(options.host !== undefined && isIP(options.host) === 6 ? 6 : 4, localPort);
  return parseSockAddr(localAddress, localPort);
}
