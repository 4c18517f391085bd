/**
 * Socket ioctl groups: who owns a letter answers all requests of it. The stack registers `i` (interfaces) and `r` (routes) during
 * start-up; afterwards the table is read without further ado and never written.
 *
 * Deviation: FreeBSD lets a later registration of a letter shadow an earlier one and only warns about a late one. Here a letter
 * has one owner (EEXIST), and a registration after the freeze is refused (EPERM).
 */
import type { Log } from './effects.ts';
import type { Errno } from './errno.ts';
import type { Socket } from './socket/socket.ts';
import { type Undo, once } from './undo.ts';

/** "Not mine": the request goes on to whoever is asked next. Never leaves the kernel. */
export const ENOIOCTL = 'ENOIOCTL';
export type IoctlResult = Errno | typeof ENOIOCTL | null;

/** Answers a request of a group; `so` is null for one that came without a socket. */
export type IocHandler = (so: Socket | null, cmd: number, data: unknown) => IoctlResult;

export class IocGroups {
  /** Told of each request that was carried out. */
  done: (cmd: number, data: unknown) => void = () => undefined;
  readonly #fallbacks: (IocHandler | null)[] = new Array<IocHandler | null>(256).fill(null);
  readonly #handlers: (IocHandler | null)[] = new Array<IocHandler | null>(256).fill(null);
  readonly #log: Log;
  #frozen = false;

  constructor(log: Log) {
    this.#log = log;
  }

  /** EINVAL for what is not one letter, EEXIST for a letter that has an owner, EPERM once start-up is over. */
  add(letter: string, handler: IocHandler): Undo | Errno {
    const group = letter.length === 1 ? letter.charCodeAt(0) : 0;
    if (group === 0 || group > 255) return 'EINVAL';
    if (this.#frozen) {
      this.#log.error({ group: letter }, 'cannot register an ioctl group after start-up');
      return 'EPERM';
    }
    if (this.#handlers[group] !== null) {
      this.#log.error({ group: letter }, 'ioctl group has an owner already');
      return 'EEXIST';
    }
    this.#handlers[group] = handler;
    return once(() => {
      this.#handlers[group] = null;
    });
  }

  /** Who answers for a letter without an owner: what the kernel knows by itself, where there is no stack. */
  setFallback(letter: string, handler: IocHandler): void {
    this.#fallbacks[letter.charCodeAt(0) & 0xff] = handler;
  }

  /** Ends the season of registration. */
  freeze(): void {
    this.#frozen = true;
  }

  /** Asks the owner of the request's group; ENOIOCTL when it has none, so that the protocol's control routine is next. */
  dispatch(so: Socket | null, cmd: number, data: unknown): IoctlResult {
    const group = (cmd >>> 8) & 0xff;
    const handler = this.#handlers[group] ?? this.#fallbacks[group];
    if (!handler) return ENOIOCTL;
    const result = handler(so, cmd, data);
    if (result === null) this.done(cmd, data);
    return result;
  }
}
