/** What BSD's errors mean, in words (strerror(3)), for those that the commands run into. */
import { ControlError } from '../client/client.ts';

const TEXTS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EADDRINUSE: 'address already in use',
  EADDRNOTAVAIL: 'no such address here',
  EAFNOSUPPORT: 'the stack does not have this address family',
  EBUSY: 'in use',
  ECONNREFUSED: 'connection refused',
  EEXIST: 'exists already',
  EHOSTDOWN: 'host is down',
  EHOSTUNREACH: 'no route to host',
  EINVAL: 'invalid argument',
  EMSGSIZE: 'message too long',
  ENETDOWN: 'network is down',
  ENETUNREACH: 'network is unreachable',
  ENOBUFS: 'no buffer space',
  ENODEV: 'the interface cannot do that',
  ENOENT: 'does not exist',
  ENOSYS: 'the kernel has no such call',
  ENXIO: 'no such interface',
  EOPNOTSUPP: 'not supported, or there is no stack to do it',
  EPERM: 'not permitted',
  ESRCH: 'there is no such entry',
};

/** `network is unreachable (ENETUNREACH)`; the boot's own sentence where it has one. `own`: better words for this place. */
export function errorText({ code, call, message }: ControlError, own: Readonly<Record<string, string>> = {}): string {
  const text = own[code] ?? TEXTS[code];
  return text === undefined || message !== `${call}: ${code}` ? message : `${text} (${code})`;
}

/** Does something of the boot's; what fails is told in the words of `own`, behind `what`. */
export async function attempt<T>(what: string, own: Readonly<Record<string, string>>, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    throw new ControlError(error.code, error.call, `${what}: ${errorText(error, own)}`);
  }
}
