/** Counters of bytes read as 0 before anything was counted, whatever they are declared with. */
import { expect, it } from 'vitest';
import { IfCounters } from '../../src/kern/ifnet/flags.ts';
import { ServiceCounters } from '../../src/services/service.ts';
import { TcpCounters } from '../../src/stacks/alt/counters.ts';
import { TcpStats } from '../../src/stacks/inet/tcp/stats.ts';

it.each([IfCounters, ServiceCounters, TcpCounters, TcpStats])('%s begins with zeros', (Counters) => {
  expect(Object.values(new Counters()).filter((n) => n !== 0)).toEqual([]);
});
