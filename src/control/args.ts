/** Arguments and answers of the control protocol between JSON and the kernel's types. Everything from outside is checked here. */
import { addrToString, parseAddr } from '../wire/addrtext.ts';
import { sockAddr } from '../wire/addr.ts';
import type { IpAddr } from '../wire/addr.ts';
import type { Errno } from '../kern/errno.ts';
import type { SockAddr } from '../kern/socket/protosw.ts';
import { DATA_MAX } from './limits.ts';
import type { NameTable } from './names.ts';

/** An argument that cannot be understood: the call is answered with this error. */
export class BadArgument extends Error {
  readonly errno: Errno;

  constructor(message: string, errno: Errno = 'EINVAL') {
    super(message);
    this.errno = errno;
  }
}

export function intArg(value: unknown, what: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw new BadArgument(`${what} must be an integer`);
  return value;
}

export function fdArg(value: unknown): number {
  const fd = intArg(value, 'the descriptor');
  if (fd < 0) throw new BadArgument('the descriptor is negative', 'EBADF');
  return fd;
}

export function textArg(value: unknown, what: string): string {
  if (typeof value !== 'string') throw new BadArgument(`${what} must be a string`);
  return value;
}

/** A name of `table`; `errno` for any other. */
export function nameArg(value: unknown, table: NameTable, what: string, errno: Errno): number {
  const number = table.get(textArg(value, what));
  if (number === undefined) throw new BadArgument(`unknown ${what}; there are ${[...table.keys()].join(' ')}`, errno);
  return number;
}

/** A list of names, which may be left out, as the bits they stand for. */
export function bitsArg(value: unknown, table: NameTable, what: string): number {
  if (value === undefined || value === null) return 0;
  if (!Array.isArray(value)) throw new BadArgument(`${what} must be a list of names`);
  let bits = 0;
  for (const name of value) bits |= nameArg(name, table, what, 'EINVAL');
  return bits;
}

/** Base64, strict: what is not base64 is refused rather than skipped. */
export function dataArg(value: unknown): Uint8Array {
  const text = textArg(value, 'data');
  const bytes = Buffer.from(text, 'base64');
  // Two at most: a search for as many as there are would take very long where something follows them.
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const length = Math.floor(((text.length - padding) * 3) / 4);
  if (bytes.length !== length || (text.length - padding) % 4 === 1) throw new BadArgument('data must be base64');
  if (bytes.length > DATA_MAX) throw new BadArgument(`data has at most ${DATA_MAX} bytes in one call`, 'EMSGSIZE');
  return bytes;
}

export function lengthArg(value: unknown): number {
  const n = intArg(value, 'the length');
  if (n < 0) throw new BadArgument('the length is negative');
  return Math.min(n, DATA_MAX);
}

/** The first of `names` where nothing was given. */
export function oneOf<T extends string>(value: unknown, names: readonly [T, ...T[]], what: string): T {
  if (value === undefined) return names[0];
  const found = names.find((name) => name === value);
  if (found === undefined) throw new BadArgument(`${what} is one of ${names.join(' ')}`);
  return found;
}

export function rangeArg(value: unknown, what: string, min: number, max: number): number {
  const n = intArg(value, what);
  if (n < min || n > max) throw new BadArgument(`${what} must be from ${min} to ${max}`);
  return n;
}

/** `{addr, port}`, or `{path}` in the local domain. */
export function sockAddrArg(value: unknown): SockAddr {
  if (typeof value !== 'object' || value === null) throw new BadArgument('an address is {addr, port} or {path}');
  const { addr, port = 0, path } = value as { addr?: unknown; port?: unknown; path?: unknown };
  if (path !== undefined) return { kind: 'local', path: textArg(path, 'path') };
  const n = intArg(port, 'port');
  if (n < 0 || n > 65535) throw new BadArgument('port must be from 0 to 65535');
  return sockAddr(ipArg(addr, 'addr'), n);
}

export function ipArg(value: unknown, what: string): IpAddr {
  const addr = parseAddr(textArg(value, what));
  if (addr === null) throw new BadArgument(`${what} must be a numeric address`);
  return addr;
}

export function sockAddrAnswer(addr: SockAddr): object {
  return addr.kind === 'local' ? { path: addr.path } : { addr: addrToString(addr.addr), port: addr.port };
}

export function dataAnswer(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
}

/** Fields of ioctl arguments that are addresses, as text. */
const ADDRESS_FIELDS: ReadonlySet<string> = new Set(['addr', 'broadcast', 'dst', 'gateway']);

/** An ioctl's argument: a record whose addresses are text. Always a fresh object, which the kernel fills in. */
export function ioctlArg(value: unknown): Record<string, unknown> {
  if (value === undefined || value === null) return {};
  if (typeof value === 'number') return { value };
  if (typeof value !== 'object' || Array.isArray(value))
    throw new BadArgument('the argument of an ioctl is an object or a number');
  const data: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(value)) {
    if (ADDRESS_FIELDS.has(key)) data[key] = ipArg(field, key);
    else if (key === 'lladdr') data[key] = lladdrArg(field);
    else data[key] = field;
  }
  return data;
}

export function lladdrArg(value: unknown): Uint8Array {
  const text = textArg(value, 'lladdr');
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2})+$/i.test(text)) throw new BadArgument('lladdr must be written as 02:00:00:00:00:01');
  return Uint8Array.from(text.split(':'), (byte) => parseInt(byte, 16));
}

/** What the kernel filled in, with addresses as text. */
export function ioctlAnswer(value: unknown): unknown {
  if (value instanceof Uint8Array) return Array.from(value, (byte) => byte.toString(16).padStart(2, '0')).join(':');
  if (Array.isArray(value)) return value.map(ioctlAnswer);
  if (typeof value !== 'object' || value === null) return value;
  if ('w0' in value && 'w3' in value) return addrToString(value as IpAddr);
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, ioctlAnswer(field)]));
}
