/**
 * One suite for every stack: written against the kernel's sockets and system calls, run on two kernels that a wire joins, in virtual time.
 * A stack's own test file is a constructor and a list of skips, each with its reason. A skip of a case that does not exist is an
 * error, and so is a skip without a reason.
 */
import { describe, expect, it } from 'vitest';
import type { Case } from './cases/case.ts';
import { closeCases } from './cases/close.ts';
import { connectCases } from './cases/connect.ts';
import { controlCases } from './cases/control.ts';
import { nameCases } from './cases/names.ts';
import { netCases } from './cases/net.ts';
import { procCases } from './cases/proc.ts';
import { streamCases } from './cases/stream.ts';
import { udpCases } from './cases/udp.ts';
import { type MakeStack, makeWorld, stopWorld } from './world.ts';

const GROUPS: Readonly<Record<string, readonly Case[]>> = {
  names: nameCases,
  connect: connectCases,
  stream: streamCases,
  close: closeCases,
  udp: udpCases,
  control: controlCases,
  net: netCases,
  proc: procCases,
};

export interface ConformanceOptions {
  /** The stack of host `b`, the server in most cases, where it is another one. */
  readonly peer?: MakeStack;
  /** Cases that the stack does not pass, and why. */
  readonly skip?: Readonly<Record<string, string>>;
  /** Another seed: other sequence numbers and ports, and other frames are lost. */
  readonly seed?: number;
  /** Only these groups; all of them by default. */
  readonly groups?: readonly string[];
}

export function conformance(name: string, makeStack: MakeStack, options: ConformanceOptions = {}): void {
  const { peer = makeStack, skip = {}, groups = Object.keys(GROUPS), seed = 1 } = options;
  describe(`conformance: ${name}`, () => {
    it('skips only cases that exist, each with a reason', () => {
      const all = new Set(Object.values(GROUPS).flatMap((cases) => cases.map((c) => c.name)));
      for (const [skipped, reason] of Object.entries(skip)) {
        expect(all).toContain(skipped);
        expect(reason.length).toBeGreaterThan(10);
      }
    });

    for (const group of groups) {
      describe(group, () => {
        for (const c of GROUPS[group] ?? []) {
          const reason = skip[c.name];
          if (reason !== undefined) {
            it.skip(`${c.name} (${reason})`, () => undefined);
            continue;
          }
          it(c.name, async () => {
            const world = makeWorld(makeStack, peer, { ...c.world, seed });
            try {
              await c.run(world);
            } finally {
              stopWorld(world);
            }
          });
        }
      });
    }
  });
}
