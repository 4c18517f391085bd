/**
 * Errors at the edge of the kernel, in the shape that Node's users know (`code`, `errno`, `syscall`, `address`, `port`). Inside, an
 * error is its name (errno.ts).
 */
import { hostErrno } from './effects/hosterrno.ts';
import type { Errno } from './errno.ts';

/** Where it happened. */
export interface ErrorPlace {
  readonly address?: string | undefined;
  /** A transport port; none for a path of the local domain. */
  readonly port?: number | undefined;
}

/** A failed call: `connect ECONNREFUSED 10.0.0.2:80`. */
export class SysError extends Error {
  readonly code: Errno;
  /** Negative number of the host's errno(3): it differs from FreeBSD's, so compare by `code`. */
  readonly errno: number;
  readonly syscall: string;
  // Declared only: an error without an address has no such property.
  declare readonly address?: string;
  declare readonly port?: number;

  constructor(code: Errno, syscall: string, place: ErrorPlace = {}) {
    const { address, port } = place;
    const where = address === undefined ? '' : ` ${address}${port === undefined ? '' : `:${port}`}`;
    super(`${syscall} ${code}${where}`);
    this.name = 'Error';
    this.code = code;
    this.errno = hostErrno(code);
    this.syscall = syscall;
    if (address !== undefined) this.address = address;
    if (port !== undefined) this.port = port;
  }
}
