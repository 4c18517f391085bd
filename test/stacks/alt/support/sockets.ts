/** Socket users for the tests: what they got is kept, byte for byte. */
import { isErrno } from '../../../../src/kern/errno.ts';
import { soaccept, sobind, soclose, soconnect, socreate, solisten, soshutdown } from '../../../../src/kern/socket/calls.ts';
import { sodeliver, soreceive, sosend } from '../../../../src/kern/socket/sendrecv.ts';
import { SocketHandler } from '../../../../src/kern/socket/handler.ts';
import { AF_INET, SOCK_DGRAM, SOCK_STREAM } from '../../../../src/kern/socket/protosw.ts';
import { SS_CANTRCVMORE, type Socket } from '../../../../src/kern/socket/socket.ts';
import { ipv4, sockAddr } from '../../../../src/wire/addr.ts';
import { type Host, ip } from './host.ts';

/** One end of a connection. */
export class Peer extends SocketHandler {
  so: Socket;
  readonly got: Uint8Array[] = [];
  gotBytes = 0;
  isConnected = false;
  isClosed = false;
  eof = false;
  error: string | null = null;
  toSend: Uint8Array = new Uint8Array(0);
  sent = 0;
  /** Send the FIN when everything is sent; close when the peer's has come. */
  finWhenSent = false;
  closeOnEof = false;
  /** Take data as it comes; false: leave it in the buffer. */
  reading = true;

  constructor(so: Socket) {
    super();
    this.so = so;
    so.handler = this;
    so.data = this;
  }

  override connected(): void {
    this.isConnected = true;
    this.pump();
  }
  override data(_so: Socket, bytes: Uint8Array, off: number, len: number): number {
    if (!this.reading) return 0;
    this.got.push(bytes.slice(off, off + len));
    this.gotBytes += len;
    return len;
  }
  override readable(so: Socket): void {
    if (so.error !== null) this.error = so.error;
    if (this.reading) this.drain();
    if ((so.state & SS_CANTRCVMORE) !== 0 && so.rcv.cc === 0) {
      this.eof = true;
      if (this.closeOnEof && this.sent === this.toSend.length) soclose(so);
    }
  }
  override writable(): void {
    this.pump();
  }
  override closed(): void {
    this.isClosed = true;
  }

  /** Reads what waits. */
  drain(): void {
    const buf = new Uint8Array(65536);
    for (;;) {
      const n = soreceive(this.so, buf, 0, buf.length, 0);
      if (isErrno(n) || n === 0) return;
      this.got.push(buf.slice(0, n));
      this.gotBytes += n;
    }
  }

  send(bytes: Uint8Array, fin = false): this {
    this.toSend = bytes;
    this.sent = 0;
    this.finWhenSent = fin;
    this.pump();
    return this;
  }

  pump(): void {
    while (this.sent < this.toSend.length) {
      const n = sosend(this.so, this.toSend, this.sent, this.toSend.length - this.sent);
      if (isErrno(n)) return;
      this.sent += n;
    }
    if (this.finWhenSent) {
      this.finWhenSent = false;
      soshutdown(this.so, 'wr');
    }
  }

  bytes(): Uint8Array {
    const all = new Uint8Array(this.gotBytes);
    let at = 0;
    for (const part of this.got) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  text(): string {
    return new TextDecoder().decode(this.bytes());
  }
}

/** A listening socket; accepts all that come. */
export class Server extends SocketHandler {
  readonly so: Socket;
  readonly peers: Peer[] = [];
  onPeer: (peer: Peer) => void = () => undefined;
  accepting = true;

  constructor(host: Host, port: number, addr = '0.0.0.0', backlog = 128) {
    super();
    this.so = streamSocket(host);
    this.so.handler = this;
    must(sobind(this.so, sockAddr(ipv4(ip(addr)), port)));
    must(solisten(this.so, backlog));
  }

  override accept(): void {
    if (!this.accepting) return;
    for (;;) {
      const so = soaccept(this.so);
      if (isErrno(so)) return;
      const peer = new Peer(so);
      peer.isConnected = true;
      this.peers.push(peer);
      this.onPeer(peer);
      sodeliver(so);
    }
  }
}

export function must(err: string | null): void {
  if (err !== null) throw new Error(err);
}

export function streamSocket(host: Host): Socket {
  const so = socreate(host.kernel, AF_INET, SOCK_STREAM, 0, null);
  if (isErrno(so)) throw new Error(so);
  return so;
}

export function dgramSocket(host: Host): Socket {
  const so = socreate(host.kernel, AF_INET, SOCK_DGRAM, 0, null);
  if (isErrno(so)) throw new Error(so);
  return so;
}

/** Begins to connect. */
export function dial(host: Host, addr: string, port: number): Peer {
  const peer = new Peer(streamSocket(host));
  const err = soconnect(peer.so, sockAddr(ipv4(ip(addr)), port));
  if (err !== null && err !== 'EINPROGRESS') peer.error = err;
  return peer;
}

/** Bytes that tell where they stand. */
export function pattern(n: number, seed = 0): Uint8Array {
  const b = new Uint8Array(n);
  let x = seed * 2654435761 + 12345;
  for (let i = 0; i < n; i++) {
    x = (Math.imul(x, 1103515245) + 12345) | 0;
    b[i] = x >>> 16;
  }
  return b;
}
