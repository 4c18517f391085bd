/**
 * gif(4): a tunnel that carries IP packets in IPv4 packets between two host addresses, over the npm package `raw-socket`: protocol 4
 * for IPv4 (RFC 2003), 41 for IPv6 (RFC 4213). The host makes and checks the outer header; anything that does not come from the
 * tunnel's other end is dropped and counted.
 */
import { createRequire } from 'node:module';
import type { Errno } from '../kern/errno.ts';
import { type Link, type LinkInfo, type LinkMethods, type LinkUp, linkInterface } from '../kern/ifnet/link.ts';
import { bindObject, defineClass } from '../kern/kobj.ts';
import { RxPacket, type TxPacket } from '../kern/packet.ts';
import { IPPROTO_IPV4, IPPROTO_IPV6, IP_HDR_LEN, ipHdrLen, ipVersion } from '../wire/ipv4.ts';
import type { OpenFailure } from './driver.ts';
import { FRAME_OFF, type Frame, FramePool } from './frame.ts';
import { TxRing } from './ring.ts';
import { errorCode } from './tap/addon.ts';
import { checkTx } from './txcheck.ts';

/** A socket of `raw-socket`, as its documentation has it. */
export interface RawSocket {
  on(event: 'message', listener: (packet: Uint8Array, source: string) => void): unknown;
  on(event: 'error', listener: (err: Error) => void): unknown;
  on(event: 'close', listener: () => void): unknown;
  send(
    bytes: Uint8Array,
    offset: number,
    length: number,
    address: string,
    done: (err: Error | null, bytes: number) => void,
  ): unknown;
  setOption(level: number, option: number, value: number): void;
  close(): unknown;
}

/** The package. */
export interface RawSocketModule {
  createSocket(options: { addressFamily: number; protocol: number; bufferSize: number }): RawSocket;
  readonly AddressFamily: { readonly IPv4: number };
  readonly SocketLevel: { readonly IPPROTO_IP: number };
  readonly SocketOption: { readonly IP_TTL: number };
}

export interface GifOptions {
  /** The other end's address on the outer network, dotted. */
  readonly remote: string;
  /** Default 1280, as FreeBSD's gif. */
  readonly mtu?: number;
  /** Time to live of the outer packets. Default 30, as FreeBSD's `net.inet.ip.gifttl`. */
  readonly ttl?: number;
}

/** Packets. */
export class GifCounters {
  rxpackets = 0;
  rxdown = 0;
  /** Not from the tunnel's other end. */
  rxsource = 0;
  /** Shorter than the outer header says, or not of the IP version that the protocol number says. */
  rxbad = 0;
  txpackets = 0;
  txfailed = 0;
  txfull = 0;
  sockerrors = 0;
}

export interface GifLink {
  readonly link: Link;
  readonly counters: GifCounters;
}

const GIF_MTU = 1280;
const GIF_TTL = 30;
const MAX_MTU = 65535 - IP_HDR_LEN;
const SLOTS = 128;
/** Packets that the sockets may hold: they tell when each was sent. */
const MAX_PENDING = 256;

class Gif {
  readonly v4: RawSocket;
  readonly v6: RawSocket;
  readonly remote: string;
  readonly info: LinkInfo;
  readonly counters = new GifCounters();
  readonly ring = new TxRing(SLOTS);
  readonly pool = new FramePool();
  readonly rx = new RxPacket(new Uint8Array(0));
  up: LinkUp | null = null;
  isUp = false;
  closed = false;
  mtu: number;
  pending = 0;

  constructor(v4: RawSocket, v6: RawSocket, { remote, mtu = GIF_MTU }: GifOptions) {
    this.v4 = v4;
    this.v6 = v6;
    this.remote = remote;
    this.mtu = mtu;
    this.info = { type: 'tunnel', lladdr: null, mtu, maxMtu: MAX_MTU, capabilities: 0, tsoMax: 0 };
  }

  /** An outer packet, header included, as raw sockets give it; inside is IP of this version. */
  receive(bytes: Uint8Array, source: string, version: 4 | 6): void {
    const { up, rx, counters } = this;
    counters.rxpackets++;
    if (source !== this.remote) counters.rxsource++;
    else if (!this.isUp || up === null) counters.rxdown++;
    else {
      const off = bytes.length >= IP_HDR_LEN ? ipHdrLen(bytes, 0) : 0;
      if (off < IP_HDR_LEN || bytes.length < off + IP_HDR_LEN || ipVersion(bytes, off) !== version) {
        counters.rxbad++;
        return;
      }
      rx.bytes = bytes;
      rx.off = off;
      rx.end = bytes.length;
      rx.flags = 0;
      rx.gsoSize = 0;
      up.begin();
      up.input(rx);
      up.end();
    }
  }

  sent(frame: Frame, err: Error | null): void {
    this.pending--;
    this.pool.put(frame);
    if (err === null) return;
    this.counters.txfailed++;
    this.up?.dropped('oerrors', 1);
  }
}

function transmit(self: Gif, pkt: TxPacket): Errno | null {
  const err = self.isUp && self.up !== null ? checkTx(pkt, 0, self.mtu, 0) : 'ENETDOWN';
  if (err === null) send(self, pkt);
  self.ring.free(pkt);
  return err;
}

function send(self: Gif, pkt: TxPacket): void {
  if (self.pending === MAX_PENDING) {
    self.counters.txfull++;
    self.up?.dropped('oqdrops', 1);
    return;
  }
  const frame = self.pool.copyTx(pkt);
  const socket = ipVersion(frame.bytes, FRAME_OFF) === 6 ? self.v6 : self.v4;
  self.pending++;
  self.counters.txpackets++;
  socket.send(frame.bytes, FRAME_OFF, frame.end - FRAME_OFF, self.remote, (err) => self.sent(frame, err));
}

const gifClass = defineClass<Gif, LinkMethods>({
  name: 'gif',
  implements: linkInterface,
  methods: {
    info: (self) => self.info,
    start: (self, up) => {
      self.up = up;
      listen(self, self.v4, 4);
      listen(self, self.v6, 6);
      return null;
    },
    stop: (self) => {
      if (self.closed) return;
      self.closed = true;
      self.isUp = false;
      self.up = null;
      self.v4.close();
      self.v6.close();
    },
    txAlloc: (self) => self.ring.alloc(),
    txFree: (self, pkt) => self.ring.free(pkt),
    transmit,
    setUp: (self, up) => {
      if (self.closed) return 'ENXIO';
      self.isUp = up;
      return null;
    },
    setMtu: (self, mtu) => {
      self.mtu = mtu;
      return null;
    },
  },
});

function listen(self: Gif, socket: RawSocket, version: 4 | 6): void {
  socket.on('message', (bytes, source) => self.receive(bytes, source, version));
  socket.on('error', () => {
    self.counters.sockerrors++;
  });
}

/** Opens a tunnel's end, or says in one line why not. `raw` is the package, if not the installed one. */
export function openGif(options: GifOptions, raw: RawSocketModule | OpenFailure = loadRawSocket()): GifLink | OpenFailure {
  if ('error' in raw) return raw;
  const opened: RawSocket[] = [];
  try {
    for (const protocol of [IPPROTO_IPV4, IPPROTO_IPV6]) {
      const socket = raw.createSocket({ addressFamily: raw.AddressFamily.IPv4, protocol, bufferSize: 65536 });
      opened.push(socket);
      socket.setOption(raw.SocketLevel.IPPROTO_IP, raw.SocketOption.IP_TTL, options.ttl ?? GIF_TTL);
    }
  } catch (err) {
    for (const socket of opened) socket.close();
    return {
      error: `gif: no raw socket (${err instanceof Error ? err.message : String(err)}): run as root, or with CAP_NET_RAW`,
    };
  }
  const [v4, v6] = opened as [RawSocket, RawSocket];
  const gif = new Gif(v4, v6, options);
  return { link: bindObject(gifClass, gif), counters: gif.counters };
}

/** The package, or how to get it. npm leaves the install scripts of dependencies unrun unless they are approved. */
export function loadRawSocket(): RawSocketModule | OpenFailure {
  try {
    return createRequire(import.meta.url)('raw-socket') as RawSocketModule;
  } catch (err) {
    const reason = errorCode(err) === 'MODULE_NOT_FOUND' ? 'is not installed or not built' : 'does not load';
    return { error: `the package raw-socket ${reason}: run npm ci, then npm rebuild raw-socket (needs a C++ compiler)` };
  }
}
