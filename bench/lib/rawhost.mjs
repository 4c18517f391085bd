// @ts-check
/**
 * A stack alone, without a device and without a peer's stack: one kernel in virtual time on a link whose frames the bench writes itself and
 * whose output it only looks at. What is measured so is the stack, the socket layer and a service, and nothing of the host.
 */
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const dist = resolve(process.env.BENCH_DIST ?? join(import.meta.dirname, '../../dist'));
/** @param {string} path */
const load = (path) => import(pathToFileURL(join(dist, path)).href);
/** @type {typeof import('../../src/index.ts')} */
const { Kernel, SimWorld, alt, ifconfig, inet } = await load('index.js');
/** @type {typeof import('../../src/kern/kobj.ts')} */
const { bindObject, defineClass } = await load('kern/kobj.js');
/** @type {typeof import('../../src/kern/ifnet/link.ts')} */
const { linkInterface, IFCAP_RXCSUM, IFCAP_TXCSUM } = await load('kern/ifnet/link.js');
/** @type {typeof import('../../src/kern/packet.ts')} */
const { PKT_CSUM_OK, RxPacket } = await load('kern/packet.js');
/** @type {typeof import('../../src/driver/ring.ts')} */
const { TxRing } = await load('driver/ring.js');
/** @type {typeof import('../../src/services/echo.ts')} */
const { EchoDgram, EchoStream } = await load('services/echo.js');
/** @type {typeof import('../../src/services/hello.ts')} */
const { Hello } = await load('services/hello.js');
/** @type {typeof import('../../src/wire/addr.ts')} */
const { ipv4, sockAddr } = await load('wire/addr.js');

export const US = 0x0a000002;
const US_MAC = [2, 0, 0, 0, 0, 2];
const PEER_MAC = [2, 0, 0, 0, 0, 1];
export const ECHO = 7;
export const HELLO = 80;
const FRAME = 2048;
const SLOTS = 512;
const ETH = 14;
const IP = 20;
const TCP = 20;
/** Timestamps, as Linux's have them (RFC 7323): NOP NOP kind length, value, echo. */
const TS = 12;
export const [FIN, SYN, ACK, PSH] = [0x01, 0x02, 0x10, 0x18];

const CAPS = IFCAP_RXCSUM | IFCAP_TXCSUM;
/** @type {import('../../src/kern/kobj.ts').KobjClass<Wire, import('../../src/kern/ifnet/link.ts').LinkMethods>} */
const wireClass = defineClass({
  name: 'bench',
  implements: linkInterface,
  methods: {
    info: () => ({ type: 'ethernet', lladdr: Uint8Array.from(US_MAC), mtu: 1500, maxMtu: 1500, capabilities: CAPS, tsoMax: 0 }),
    start: (self, up) => {
      self.up = up;
      return null;
    },
    txAlloc: (self) => self.ring.alloc(),
    txFree: (self, pkt) => self.ring.free(pkt),
    transmit: (self, pkt) => {
      self.frames++;
      self.lastBytes = pkt.bytes;
      self.lastOff = pkt.off;
      if (self.iss !== null) noteSyn(self.iss, pkt.bytes, pkt.off + ETH + IP);
      self.ring.free(pkt);
      return null;
    },
    setCapEnable: () => null,
  },
});

/** @param {Int32Array} iss @param {Uint8Array} b @param {number} t */
function noteSyn(iss, b, t) {
  if ((at(b, t + 13) & SYN) === 0) return;
  iss[at16(b, t + 2)] = (at16(b, t + 4) << 16) | at16(b, t + 6);
}

/** @param {Uint8Array} b @param {number} i */
const at = (b, i) => b[i] ?? 0;
/** @param {Uint8Array} b @param {number} i */
const at16 = (b, i) => (at(b, i) << 8) | at(b, i + 1);

class Wire {
  ring = new TxRing(SLOTS);
  /** @type {import('../../src/kern/ifnet/link.ts').LinkUp | null} */
  up = null;
  /** Frames that left, and where the last of them lies. */
  frames = 0;
  /** @type {Uint8Array} */
  lastBytes = new Uint8Array(0);
  lastOff = 0;
  /** Initial sequence numbers of the stack's SYN/ACKs by the port that they went to; null: not wanted. */
  /** @type {Int32Array | null} */
  iss = null;
}

export class RawHost {
  /** @param {string} name @param {Record<string, string>} [env] */
  constructor(name, env = {}) {
    this.world = new SimWorld({ seed: 1, log: 'warn' });
    this.kernel = new Kernel(this.world.effects('bench'), env);
    const failure = this.kernel.modules.preload(name === 'alt' ? alt : inet) ?? this.kernel.boot();
    if (failure !== null) throw new Error(failure.message);
    this.wire = new Wire();
    const ifp = this.kernel.ifnets.attach('bench', 0, bindObject(wireClass, this.wire));
    if (typeof ifp === 'string') throw new Error(ifp);
    const err = ifconfig(this.kernel, ifp, '10.0.0.2/8');
    if (err !== null) throw new Error(err);
    for (const service of [new EchoStream(this.kernel), new EchoDgram(this.kernel), new Hello(this.kernel)]) {
      const refused = service.listen(sockAddr(ipv4(0), service instanceof Hello ? HELLO : ECHO));
      if (refused !== null) throw new Error(refused);
    }
    this.world.run(10);
    this.rx = new RxPacket(new Uint8Array(FRAME));
    this.frame = this.rx.bytes;
    this.view = new DataView(this.frame.buffer);
    this.frame.set(US_MAC, 0);
    this.frame.set(PEER_MAC, 6);
    this.view.setUint16(12, 0x0800);
    this.frame[ETH] = 0x45;
    this.frame[ETH + 8] = 64;
    this.view.setUint32(ETH + 16, US);
    if (this.wire.up === null) throw new Error('the link was not started');
    this.up = this.wire.up;
    /** The word in front of a SYN's timestamp: two NOPs, or SACK-permitted (0x0402080a). */
    this.synOption = 0x0101080a;
    /** Our clock as the stack's last SYN/ACK said it. */
    this.tsEcr = 0;
  }

  /** Tells the stack the neighbour's hardware address. @param {number} addr */
  neighbour(addr) {
    const { frame, view } = this;
    view.setUint16(12, 0x0806);
    frame.set([0, 1, 8, 0, 6, 4, 0, 1, ...PEER_MAC], ETH);
    view.setUint32(ETH + 14, addr);
    frame.fill(0, ETH + 18, ETH + 24);
    view.setUint32(ETH + 24, US);
    this.#input(ETH + 28);
    frame.fill(0, ETH, ETH + 28);
    view.setUint16(12, 0x0800);
    frame[ETH] = 0x45;
    frame[ETH + 8] = 64;
    view.setUint32(ETH + 16, US);
  }

  /** @param {number} end */
  #input(end) {
    const { rx } = this;
    rx.off = 0;
    rx.end = end;
    rx.flags = PKT_CSUM_OK;
    rx.gsoSize = 0;
    this.up.input(rx);
  }

  /** @param {number} from @param {number} proto @param {number} len */
  #ip(from, proto, len) {
    const { view } = this;
    view.setUint16(ETH + 2, IP + len);
    this.frame[ETH + 9] = proto;
    view.setUint32(ETH + 12, from);
    view.setUint16(ETH + 10, 0);
    let sum = 0;
    for (let i = 0; i < IP; i += 2) sum += view.getUint16(ETH + i);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    view.setUint16(ETH + 10, ~sum & 0xffff);
  }

  /** A segment with timestamps from a peer to a service; to be called within a batch. @param {number} from @param {number} port @param {number} seq @param {number} ack @param {number} flags @param {number} len @param {number} [to] */
  tcp(from, port, seq, ack, flags, len, to = ECHO) {
    const { view } = this;
    const t = ETH + IP;
    this.#ip(from, 6, TCP + TS + len);
    view.setUint16(t, port);
    view.setUint16(t + 2, to);
    view.setInt32(t + 4, seq);
    view.setInt32(t + 8, ack);
    view.setUint16(t + 12, (8 << 12) | flags);
    view.setUint16(t + 14, 65535);
    view.setUint32(t + 16, 0);
    view.setUint32(t + 20, (flags & SYN) !== 0 ? this.synOption : 0x0101080a);
    view.setInt32(t + 24, 1);
    view.setInt32(t + 28, this.tsEcr);
    this.#input(t + TCP + TS + len);
  }

  /** A datagram to the echo service. @param {number} from @param {number} port @param {number} len */
  udp(from, port, len) {
    const { view } = this;
    const t = ETH + IP;
    this.#ip(from, 17, 8 + len);
    view.setUint32(t + 8, 0);
    view.setUint16(t, port);
    view.setUint16(t + 2, ECHO);
    view.setUint16(t + 4, 8 + len);
    view.setUint16(t + 6, 0xffff);
    this.#input(t + 8 + len);
  }

  /** A handshake; answers the peer's next acknowledgment number. @param {number} from @param {number} port @param {number} seq @param {number} [to] */
  connect(from, port, seq, to = ECHO) {
    this.up.begin();
    this.tcp(from, port, seq, 0, SYN, 0, to);
    this.up.end();
    const { lastBytes, lastOff } = this.wire;
    const b = new DataView(lastBytes.buffer, lastBytes.byteOffset + lastOff + ETH + IP);
    if ((b.getUint8(13) & (SYN | ACK)) !== (SYN | ACK)) throw new Error('no SYN/ACK came');
    const ack = (b.getInt32(4) + 1) | 0;
    for (let k = 20; k < 40; k++) if (b.getUint8(k) === 8 && b.getUint8(k + 1) === 10) this.tsEcr = b.getInt32(k + 2);
    this.up.begin();
    this.tcp(from, port, (seq + 1) | 0, ack, ACK, 0, to);
    this.up.end();
    return ack;
  }
}

/** Echo requests in turn over many connections: one segment in and one out for each. */
export class EchoPeers {
  /**
   * @param {RawHost} host @param {number} conns @param {number} len payload of a segment
   * @param {number} [service] @param {number} [answer] payload of an answer
   */
  constructor(host, conns, len, service = ECHO, answer = len) {
    this.host = host;
    this.service = service;
    this.answer = answer;
    this.conns = conns;
    this.len = len;
    this.seq = new Int32Array(conns);
    this.ack = new Int32Array(conns);
    /** The order of the connections: not the one in which they were made. */
    this.order = Int32Array.from({ length: conns }, (_, i) => i);
    for (let i = conns - 1, r = 12345; i > 0; i--) {
      r = (Math.imul(r, 1103515245) + 12345) & 0x7fffffff;
      const k = r % (i + 1);
      const was = /** @type {number} */ (this.order[i]);
      this.order[i] = /** @type {number} */ (this.order[k]);
      this.order[k] = was;
    }
    this.next = 0;
    for (let i = 0; i < conns; i++) {
      if (i % 20_000 === 0) host.neighbour(this.addr(i));
      this.seq[i] = 1;
      this.ack[i] = host.connect(this.addr(i), this.port(i), 0, service);
    }
  }

  /** @param {number} i */
  addr(i) {
    return 0x0a000100 + ((i / 20_000) | 0);
  }
  /** @param {number} i */
  port(i) {
    return 10_000 + (i % 20_000);
  }

  /** `batches` batches of `size` requests. @param {number} batches @param {number} size */
  run(batches, size) {
    const { host, order, seq, ack, len, conns, service, answer } = this;
    const { wire, up } = host;
    const before = wire.frames;
    for (let b = 0; b < batches; b++) {
      up.begin();
      for (let k = 0; k < size; k++) {
        const i = /** @type {number} */ (order[this.next]);
        if (++this.next === conns) this.next = 0;
        const s = /** @type {number} */ (seq[i]);
        const a = /** @type {number} */ (ack[i]);
        host.tcp(this.addr(i), this.port(i), s, a, PSH, len, service);
        seq[i] = s + len;
        ack[i] = a + answer;
      }
      up.end();
    }
    if (wire.frames - before !== batches * size) throw new Error(`${wire.frames - before} answers to ${batches * size} requests`);
  }
}

/** Bytes of what `hello` answers (src/services/hello.ts). */
const HELLO_ANSWER = 69;
const GET = new TextEncoder().encode('GET / HTTP/1.1\r\nHost: 10.0.0.2\r\n\r\n');

/** Requests in turn to the hello service: one segment in and one out for each. */
export class HelloPeers extends EchoPeers {
  /** @param {RawHost} host @param {number} conns */
  constructor(host, conns) {
    host.frame.set(GET, ETH + IP + TCP + TS);
    super(host, conns, GET.length, HELLO, HELLO_ANSWER);
  }
}

/** Short connections to the hello service, so many at the same time: connect, a request, the answer, the end; six frames in, three out. */
export class ShortPeers {
  /** @param {RawHost} host @param {number} width */
  constructor(host, width) {
    this.host = host;
    this.width = width;
    this.from = 0x0a000100;
    this.port = 1024;
    this.answer = 0;
    host.neighbour(this.from);
    host.frame.set(GET, ETH + IP + TCP + TS);
    this.iss = host.wire.iss = new Int32Array(65536);
    this.run(1);
  }

  /** `rounds` times `width` connections. @param {number} rounds */
  run(rounds) {
    for (let r = 0; r < rounds; r++) {
      if (this.port + this.width > 65536) this.port = 1024;
      this.#round(this.port);
      this.port += this.width;
    }
  }

  /** @param {number} first */
  #round(first) {
    const { host, iss, width, from } = this;
    const { up, wire } = host;
    const end = first + width;
    up.begin();
    for (let p = first; p < end; p++) host.tcp(from, p, 0, 0, SYN, 0, HELLO);
    up.end();
    const before = wire.frames;
    up.begin();
    for (let p = first; p < end; p++) {
      const ack = ((iss[p] ?? 0) + 1) | 0;
      host.tcp(from, p, 1, ack, ACK, 0, HELLO);
      host.tcp(from, p, 1, ack, PSH, GET.length, HELLO);
    }
    up.end();
    const { lastBytes, lastOff } = wire;
    this.answer = at16(lastBytes, lastOff + ETH + 2) - IP - TCP - TS;
    up.begin();
    for (let p = first; p < end; p++) {
      const ack = ((iss[p] ?? 0) + 1 + this.answer) | 0;
      host.tcp(from, p, 1 + GET.length, ack, ACK, 0, HELLO);
      host.tcp(from, p, 1 + GET.length, ack, FIN | ACK, 0, HELLO);
    }
    up.end();
    up.begin();
    for (let p = first; p < end; p++) {
      host.tcp(from, p, 2 + GET.length, ((iss[p] ?? 0) + 2 + this.answer) | 0, ACK, 0, HELLO);
    }
    up.end();
    if (wire.frames - before !== 2 * width) throw new Error(`${wire.frames - before} frames to ${width} requests`);
  }
}
