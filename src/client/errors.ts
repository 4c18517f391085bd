/** What a call on the control socket was answered with instead of a value. */

export class ControlError extends Error {
  /** BSD's name of the error: `ENOENT`, `EADDRINUSE`. */
  readonly code: string;
  /** The call. */
  readonly call: string;

  constructor(code: string, call: string, message: string) {
    super(message);
    this.name = 'ControlError';
    this.code = code;
    this.call = call;
  }
}
