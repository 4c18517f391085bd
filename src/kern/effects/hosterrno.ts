/** The host's numbers of errors (errno(3)): they are not FreeBSD's. */
import { constants } from 'node:os';
import { ERRNO, type Errno } from '../errno.ts';

/** The host's number of an error, negative as Node has it; FreeBSD's number for a name that the host lacks. */
export function hostErrno(code: Errno): number {
  return -((constants.errno as Readonly<Record<string, number>>)[code] ?? ERRNO[code]);
}
