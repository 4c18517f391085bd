/** What ICMP errors say, in ping(8)'s and traceroute(8)'s words. */
import { ICMP_PARAMPROB, ICMP_REDIRECT, ICMP_SOURCEQUENCH, ICMP_TIMXCEED, ICMP_UNREACH } from '../wire/icmp.ts';

const UNREACH: readonly string[] = [
  'Destination Net Unreachable',
  'Destination Host Unreachable',
  'Destination Protocol Unreachable',
  'Destination Port Unreachable',
  'frag needed and DF set',
  'Source Route Failed',
  'Destination Net Unknown',
  'Destination Host Unknown',
  'Source Host Isolated',
  'Destination Net Prohibited',
  'Destination Host Prohibited',
  'Destination Net Unreachable for Type of Service',
  'Destination Host Unreachable for Type of Service',
  'Communication prohibited by filtering',
];
/** traceroute's marks for codes of "unreachable"; a port that is closed is the end, and has none. */
const MARKS: readonly string[] = ['!N', '!H', '!P', '', '!F', '!S', '!U', '!W', '!I', '!A', '!Z', '!Q', '!T', '!X'];

export function icmpErrorText(type: number, code: number): string {
  switch (type) {
    case ICMP_UNREACH:
      return UNREACH[code] ?? `Destination Unreachable, code ${code}`;
    case ICMP_TIMXCEED:
      return code === 0 ? 'Time to live exceeded' : 'Frag reassembly time exceeded';
    case ICMP_SOURCEQUENCH:
      return 'Source Quench';
    case ICMP_REDIRECT:
      return 'Redirect';
    case ICMP_PARAMPROB:
      return 'Parameter problem';
    default:
      return `ICMP type ${type} code ${code}`;
  }
}

export function unreachMark(code: number): string {
  return MARKS[code] ?? `!<${code}>`;
}
