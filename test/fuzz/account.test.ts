/** `netstat -s` explains every frame, on every stack. */
import { describe } from 'vitest';
import { netmodModule as alt } from '../../src/stacks/alt/module.ts';
import { netmodModule as inet } from '../../src/stacks/inet/module.ts';
import { netmodModule as tiny } from '../conformance/tinystack/tiny.ts';
import { accounts } from './account.ts';

const TCP = [
  'rcvpack',
  'rcvoopack',
  'rcvduppack',
  'rcvpartdupbyte',
  'rcvackpack',
  'rcvdupack',
  'rcvwinprobe',
  'rcvrst',
  'connects',
  'sc_dupsyn',
  'sc_sendcookie',
];

const of = (group: string, names: readonly string[]): string[] => names.map((name) => `${group}.${name}`);

describe('accounting of frames', () => {
  accounts('inet', () => inet, {
    accepts: [
      ...of('arp', ['rxrequests', 'rxreplies']),
      ...of('frag', ['fragments']),
      ...of('icmp', ['inecho', 'inechoreply', 'inunreach', 'intimxceed', 'inparamprob', 'intstamp', 'intstampreply', 'inother']),
      ...of('icmp', ['quench', 'redirect']),
      ...of('igmp', ['queries', 'reports', 'forrouters']),
      ...of('udp', ['ipackets']),
      ...of('raw', ['ipackets']),
      ...of('tcp', [...TCP, 'sc_added', 'sc_completed', 'predack', 'preddat', 'tw_rcv', 'rcvwinupd']),
    ],
    others: ['frag.fragdropped'],
  });
  accounts('alt', () => alt, {
    accepts: [
      ...of('arp', ['rxrequests', 'rxreplies']),
      ...of('ip', ['fragments']),
      ...of('icmp', ['echo', 'errin']),
      ...of('udp', ['ipackets']),
      ...of('tcp', [...TCP, 'sc_added', 'sc_recvcookie', 'timewaitrcv', 'challengeack', 'challengeacklimited']),
    ],
    others: ['ip.fragdropped'],
  });
  accounts('a third party’s', () => tiny, {
    accepts: of('tiny', ['arpin', 'icmpecho', 'udpin', 'tcpin']),
  });
});
