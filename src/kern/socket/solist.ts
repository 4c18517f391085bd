/** All sockets that somebody has, for tables such as sockstat(1)'s: a list through the sockets themselves, so that joining costs two stores. */
import type { Socket } from './socket.ts';

export class SocketList {
  count = 0;
  #first: Socket | null = null;

  add(so: Socket): void {
    const first = this.#first;
    so.nextSocket = first;
    if (first !== null) first.prevSocket = so;
    this.#first = so;
    this.count++;
  }

  /** Nothing happens to one that is not there. */
  remove(so: Socket): void {
    const { prevSocket, nextSocket } = so;
    if (prevSocket === null && this.#first !== so) return;
    if (prevSocket === null) this.#first = nextSocket;
    else prevSocket.nextSocket = nextSocket;
    if (nextSocket !== null) nextSocket.prevSocket = prevSocket;
    so.prevSocket = so.nextSocket = null;
    this.count--;
  }

  /** The oldest first, as a list of its own. */
  all(): Socket[] {
    const sockets: Socket[] = [];
    for (let so = this.#first; so !== null; so = so.nextSocket) sockets.push(so);
    return sockets.reverse();
  }
}
