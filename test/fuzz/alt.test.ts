/** The flow stack under fire. */
import { netmodModule } from '../../src/stacks/alt/module.ts';
import { fuzz, sum } from './suite.ts';

const IP_DROPS = ['badsum', 'tooshort', 'badhlen', 'badlen', 'badvers', 'badaddr', 'cantforward', 'noproto'];
const SLABS = ['flows', 'embryonic', 'timewait', 'ranges', 'udpsockets'];

fuzz('alt', () => netmodModule, {
  balance: ({ ether, arp, ip }, frames) => [
    ['ethernet', frames, sum(ip, 'total') + sum(arp, 'received') + sum(ether, 'runts', 'notforus', 'noproto')],
    ['ip', sum(ip, 'total'), sum(ip, 'delivered', ...IP_DROPS, 'fragments') - sum(ip, 'reassembled')],
  ],
  tables: ({ kernel }) => {
    const read = (name: string): number => {
      const reading = kernel.sysctl.read(name);
      return typeof reading === 'string' ? NaN : Number(reading.value);
    };
    return SLABS.map((slab) => [slab, read(`net.alt.${slab}_used`), read(`net.alt.${slab}`)] as const);
  },
});
