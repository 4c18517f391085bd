/** The table of connections against a plain map, with random insertions and removals; and that it stays fast when names are chosen badly. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SimRandom } from '../../src/kern/effects/sim.ts';
import { CONN_TCB, Conn } from '../../src/stacks/inet/tcp/conn.ts';
import { ConnTable } from '../../src/stacks/inet/tcp/lookup.ts';
import { IpAddrBuf, type IpAddr, ipv4 } from '../../src/wire/addr.ts';

function conn(laddr: IpAddr, faddr: IpAddr, lport: number, fport: number): Conn {
  const c = new Conn(CONN_TCB);
  return Object.assign(c, { laddr, faddr, lport, fport });
}

describe('ConnTable', () => {
  it('finds what is in it and nothing else (property)', () => {
    const op = fc.tuple(fc.boolean(), fc.nat(3), fc.nat(40));
    fc.assert(
      fc.property(fc.array(op, { maxLength: 400 }), fc.nat(), (ops, seed) => {
        const table = new ConnTable(new SimRandom(seed));
        const model = new Map<string, Conn>();
        for (const [add, host, port] of ops) {
          const key = `${host}:${port}`;
          const faddr = ipv4(0x0a000000 + host);
          const before = model.get(key);
          expect(table.find(ipv4(1), faddr, 80, port)).toBe(before ?? null);
          if (add && before === undefined) {
            const c = conn(ipv4(1), faddr, 80, port);
            table.insert(c);
            model.set(key, c);
          } else if (!add && before !== undefined) {
            expect(table.remove(before)).toBe(true);
            expect(table.remove(before)).toBe(false);
            model.delete(key);
          }
          expect(table.size).toBe(model.size);
        }
        for (const c of model.values()) expect(table.find(c.laddr, c.faddr, c.lport, c.fport)).toBe(c);
        expect(new Set(table.all())).toEqual(new Set(model.values()));
      }),
      { numRuns: 100 },
    );
  });

  it('tells IPv4 from IPv6, and addresses that differ in any word', () => {
    const table = new ConnTable(new SimRandom(1));
    const words = [0, 1, 2, 3].map((i) => {
      const a = new IpAddrBuf();
      return Object.assign(a, { [`w${i}`]: 7 });
    });
    const conns = [...words, ipv4(7)].map((a) => conn(a, a, 1, 2));
    for (const c of conns) table.insert(c);
    for (const c of conns) expect(table.find(c.laddr, c.faddr, 1, 2)).toBe(c);
  });

  it('20000 connections that differ little lie well apart', () => {
    const table = new ConnTable(new SimRandom(3));
    const buckets = new Map<number, number>();
    for (let i = 0; i < 20_000; i++) {
      const h = table.hash(ipv4(0x0a000002), ipv4(0x0a000001), 80, 10_000 + i) & 0xffff;
      buckets.set(h, (buckets.get(h) ?? 0) + 1);
    }
    expect(Math.max(...buckets.values())).toBeLessThan(12);
  });
});
