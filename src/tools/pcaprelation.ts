/** Comparisons of bytes in a filter, `tcp[tcpflags] & (tcp-syn|tcp-fin) != 0`, `ip[8] < 5`, `icmp[icmptype] = icmp-echo` (pcap-filter(7)). */
import type { FilterExpr } from '../client/types.ts';
import { unknown } from './nearest.ts';
import { UsageError, wholeNumber } from './tool.ts';

type Bytes = Extract<FilterExpr, { bytes: string }>;

const HEADERS = ['ether', 'ip', 'ip6', 'arp', 'icmp', 'tcp', 'udp'] as const;
export const isHeader = (word: string): word is Bytes['bytes'] => (HEADERS as readonly string[]).includes(word);

/** Names of offsets and of values. */
const NAMES: Readonly<Record<string, number>> = {
  'tcpflags': 13, 'icmptype': 0, 'icmpcode': 1,
  'tcp-fin': 1, 'tcp-syn': 2, 'tcp-rst': 4, 'tcp-push': 8, 'tcp-ack': 16, 'tcp-urg': 32, 'tcp-ece': 64, 'tcp-cwr': 128,
  'icmp-echoreply': 0, 'icmp-unreach': 3, 'icmp-sourcequench': 4, 'icmp-redirect': 5, 'icmp-echo': 8, 'icmp-timxceed': 11,
  'icmp-paramprob': 12, 'icmp-tstamp': 13, 'icmp-tstampreply': 14,
}; // prettier-ignore
const COMPARISONS = ['=', '==', '!=', '<', '>', '<=', '>='] as const;

/** A number, or the name of one. */
export function constant(text: string): number {
  const named = Object.hasOwn(NAMES, text) ? NAMES[text] : undefined;
  if (named === undefined && /^[a-z]/.test(text)) throw new UsageError(unknown('value', text, Object.keys(NAMES)));
  return named ?? wholeNumber(text, 'a value', 0, 0xffffffff);
}

/** What follows the name of a header, from `[` on; how many tokens it takes. */
export function relation(header: Bytes['bytes'], tokens: readonly string[]): { expr: Bytes; used: number } {
  let used = 0;
  const next = (what: string): string => {
    const token = tokens[used++];
    if (token === undefined) throw new UsageError(`the filter ends where ${what} is missing`);
    return token;
  };
  const expect = (sign: string): void => {
    const token = next(`'${sign}'`);
    if (token !== sign) throw new UsageError(`the filter has '${token}' where '${sign}' is missing`);
  };
  /** A value, or several with | between them, in parentheses or not. */
  const value = (): number => {
    if (tokens[used] === '(') {
      used++;
      const inner = value();
      expect(')');
      return inner;
    }
    let n = constant(next('a value'));
    while (tokens[used] === '|') {
      used++;
      n = (n | value()) >>> 0;
    }
    return n;
  };
  expect('[');
  const [at = '', bytes = '1', ...rest] = next('an offset').split(':');
  const size = Number(bytes);
  if (rest.length > 0 || (size !== 1 && size !== 2 && size !== 4))
    throw new UsageError(`an offset is like 13 or 2:2; 1, 2 or 4 bytes are compared`);
  const offset = constant(at);
  if (offset > 65_535) throw new UsageError(`an offset is from 0 to 65535, not '${at}'`);
  expect(']');
  let mask: number | null = null;
  if (tokens[used] === '&') {
    used++;
    mask = value();
  }
  const op = COMPARISONS.find((sign) => sign === tokens[used]);
  if (op === undefined) throw new UsageError(`'${header}[${at}]' is compared by one of ${COMPARISONS.join(' ')}`);
  used++;
  const than = value();
  const expr: Bytes = {
    bytes: header,
    at: offset,
    op: op === '==' ? '=' : op,
    value: than,
    ...(size === 1 ? {} : { size }),
    ...(mask === null ? {} : { mask }),
  };
  return { expr, used };
}
