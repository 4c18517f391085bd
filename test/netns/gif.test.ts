import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadRawSocket } from '../../src/driver/gif.ts';
import { Netns, ROOT, describeNetns, netnsReason } from '../support/netns.ts';

const suite = netnsReason === null ? describe : describeNetns;
const raw = loadRawSocket();
/** An optional dependency that did not build is a reason even where a namespace is required: node-gyp needs Node's own headers. */
const reason = 'error' in raw ? raw.error : null;

suite('gif', () => {
  let ns: Netns;
  beforeEach(async () => {
    ns = await Netns.create();
  });
  afterEach(() => ns.remove());

  // Both ends are this machine: what goes out as protocol 4 or 41 comes back in.
  it.skipIf(reason !== null)(`carries IPv4 and IPv6 in IPv4${reason === null ? '' : ` (skipped: ${reason})`}`, async () => {
    const script = `
      const { openGif } = await import(${JSON.stringify(join(ROOT, 'src/driver/gif.ts'))});
      const gif = openGif({ remote: '127.0.0.1' });
      if ('error' in gif) throw new Error(gif.error);
      const sent = [Buffer.alloc(100, 0x45), Buffer.alloc(1280, 0x60)];
      const got = [];
      gif.link.start({ begin() {}, end() {}, dropped() {}, state() {}, input(pkt) {
        got.push(Buffer.from(pkt.bytes.subarray(pkt.off, pkt.end)));
        if (got.length < 2) return;
        console.log(sent.every((packet) => got.some((other) => other.equals(packet))), JSON.stringify(gif.counters));
        gif.link.stop();
      } });
      gif.link.setUp(true);
      for (const packet of sent) {
        const pkt = gif.link.txAlloc();
        pkt.bytes.set(packet, pkt.append(packet.length));
        if (gif.link.transmit(pkt) !== null) throw new Error('refused');
      }
      gif.link.flush();
    `;
    const register = join(ROOT, 'test/support/ts-register.mjs');
    const out = await ns.must([process.execPath, '--import', register, '--input-type=module', '-e', script]);
    expect(out).toMatch(/^true /);
    expect(JSON.parse(out.slice(5))).toMatchObject({ rxpackets: 2, rxsource: 0, rxbad: 0, txpackets: 2, txfailed: 0 });
  });
});
