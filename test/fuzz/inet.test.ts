/** The full stack under fire. */
import { netmodModule } from '../../src/stacks/inet/module.ts';
import { fuzz, sum } from './suite.ts';

const IP_DROPS = [
  ...['badsum', 'tooshort', 'toosmall', 'badhlen', 'badlen', 'badvers', 'badoptions', 'srcroute', 'badaddr'],
  ...['linkbcast', 'cantforward', 'notmember', 'noproto'],
];

fuzz('inet', () => netmodModule, {
  balance: ({ ether, arp, ip, frag }, frames) => [
    ['ethernet', frames, sum(ip, 'total') + sum(arp, 'received') + sum(ether, 'runts', 'notforus', 'llc', 'noproto')],
    ['ip', sum(ip, 'total'), sum(ip, 'delivered', ...IP_DROPS) + sum(frag, 'fragments') - sum(frag, 'reassembled')],
  ],
  tables: ({ kernel }) => {
    const read = (name: string): number => {
      const reading = kernel.sysctl.read(name);
      return typeof reading === 'string' ? NaN : Number(reading.value);
    };
    return [['reassembly', read('net.inet.ip.fragpackets'), read('net.inet.ip.maxfragpackets')]];
  },
});
