/** Errors of Node's API: `SysError` for what the kernel reports by name, and errors of Node's own naming for misuse. */
export { type ErrorPlace, SysError } from '../kern/syserror.ts';

/** An error of Node's own naming (`ERR_*`), for misuse of the API. */
export class ApiError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
    this.name = `Error [${code}]`;
  }
}

/** The same as a `RangeError`, for a number outside what a call takes. */
export class ApiRangeError extends RangeError {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** A port as given by a user; throws ERR_SOCKET_BAD_PORT as Node does. */
export function checkPort(port: unknown): number {
  const text = typeof port === 'string' ? port.trim() : port;
  const n = typeof text === 'number' || (typeof text === 'string' && text !== '') ? Number(text) : NaN;
  if (!Number.isInteger(n) || n < 0 || n > 65535) {
    throw new ApiRangeError('ERR_SOCKET_BAD_PORT', `Port should be >= 0 and < 65536. Received ${String(port)}.`);
  }
  return n;
}
