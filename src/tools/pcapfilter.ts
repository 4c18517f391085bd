/**
 * The filter language of tcpdump(1), pcap-filter(7), as the expression that the control socket takes (`FilterExpr`). `and` and `or` have one
 * precedence and go from left to right; a value without words in front of it has those of the value before it (`port 80 or 443`).
 * What is not understood is refused with the nearest word that is, so that nobody takes a part of a filter for the whole.
 */
import type { FilterExpr } from '../client/types.ts';
import { parsePrefix } from '../wire/addrtext.ts';
import { addressArg, lladdrArg, netmaskArg } from './addresses.ts';
import { tokensOf } from './pcaptokens.ts';
import { constant, isHeader, relation } from './pcaprelation.ts';
import { nearest } from './nearest.ts';
import { UsageError, wholeNumber } from './tool.ts';

type Way = 'either' | 'src' | 'dst' | 'both';
type Kind = 'host' | 'net' | 'port' | 'portrange' | 'proto';

/** The words in front of a value. */
interface Qualifiers {
  readonly proto: string | null;
  readonly way: Way | null;
  readonly kind: Kind | null;
}

const PROTOCOLS = ['ether', 'arp', 'ip', 'ip6', 'icmp', 'icmp6', 'igmp', 'tcp', 'udp'] as const;
const KINDS: readonly Kind[] = ['host', 'net', 'port', 'portrange', 'proto'];
const ALONE = ['broadcast', 'multicast', 'greater', 'less', 'len', 'inbound', 'outbound', 'in', 'out'] as const;
const CONNECTIVES = ['and', 'or', 'not', '&&', '||', '!', '(', ')'] as const;
const WORDS: readonly string[] = [...PROTOCOLS, 'src', 'dst', ...KINDS, ...ALONE, ...CONNECTIVES];
const ETHERTYPES: Readonly<Record<string, number>> = { ip: 0x0800, arp: 0x0806, ip6: 0x86dd };
/** Levels of parentheses and `not`: the control socket takes lists in lists up to a depth. */
const DEPTH_MAX = 10;

const isIn = <T extends string>(words: readonly T[], word: string | undefined): word is T =>
  word !== undefined && (words as readonly string[]).includes(word);

class FilterParser {
  readonly #tokens: readonly string[];
  #at = 0;
  #depth = 0;
  #last: Qualifiers | null = null;

  constructor(tokens: readonly string[]) {
    this.#tokens = tokens;
  }

  all(): FilterExpr {
    const expr = this.#expression();
    if (this.#peek() !== undefined) throw new UsageError(`')' in the filter without a '('`);
    return expr;
  }

  #peek(ahead = 0): string | undefined {
    return this.#tokens[this.#at + ahead];
  }

  #next(what: string): string {
    const token = this.#tokens[this.#at++];
    if (token === undefined) throw new UsageError(`the filter ends where ${what} is missing`);
    return token;
  }

  #expression(): FilterExpr {
    if (++this.#depth > DEPTH_MAX) throw new UsageError(`the filter has more than ${DEPTH_MAX} levels of parentheses`);
    let left = this.#term();
    for (let token = this.#peek(); token !== undefined && token !== ')'; token = this.#peek()) {
      const isOr = token === 'or' || token === '||';
      // Terms that just follow each other must both hold.
      if (isOr || token === 'and' || token === '&&') this.#at++;
      left = join(isOr ? 'or' : 'and', left, this.#term());
    }
    this.#depth--;
    return left;
  }

  #term(): FilterExpr {
    const token = this.#next('a term');
    if (token === 'not' || token === '!') {
      if (++this.#depth > DEPTH_MAX) throw new UsageError(`the filter has more than ${DEPTH_MAX} 'not' in each other`);
      const not = this.#term();
      this.#depth--;
      return { not };
    }
    if (token === '(') {
      const inner = this.#expression();
      if (this.#peek() !== ')') throw new UsageError(`')' is missing in the filter`);
      this.#at++;
      return inner;
    }
    this.#at--;
    return this.#primitive();
  }

  #primitive(): FilterExpr {
    const word = this.#next('a term');
    if (isHeader(word) && this.#peek() === '[') return this.#relation(word);
    if (isIn(ALONE, word)) return this.#alone(word, null);
    if (!isIn(PROTOCOLS, word) && !isIn(['src', 'dst'], word) && !isIn(KINDS, word)) return this.#bare(word);
    this.#at--;
    const proto = isIn(PROTOCOLS, word) ? this.#next('a protocol') : null;
    const way = this.#way();
    const kindWord = this.#peek();
    const kind = isIn(KINDS, kindWord) ? kindWord : null;
    if (kind !== null) this.#at++;
    if (proto !== null && way === null && kind === null) {
      const after = this.#peek();
      if (after === 'broadcast' || after === 'multicast') {
        this.#at++;
        return this.#alone(after, proto);
      }
      if (proto !== 'ether') return { proto: proto as Exclude<(typeof PROTOCOLS)[number], 'ether'> };
    }
    this.#last = { proto, way, kind };
    return this.#value(this.#last);
  }

  /** `src`, `dst`, `src or dst`, `src and dst`. */
  #way(): Way | null {
    const first = this.#peek();
    if (first !== 'src' && first !== 'dst') return null;
    this.#at++;
    const between = this.#peek();
    if (this.#peek(1) === (first === 'src' ? 'dst' : 'src') && isIn(['and', 'or', '&&', '||'], between)) {
      this.#at += 2;
      return between === 'or' || between === '||' ? 'either' : 'both';
    }
    return first;
  }

  /** A value that has its words from the one before it, or is an address. */
  #bare(word: string): FilterExpr {
    const before = this.#tokens[this.#at - 2];
    const isAddress = word.includes('.') || word.includes(':');
    if (!/^[\d.:a-f/-]*[\d:.][\d.:a-f/-]*$/i.test(word) || (this.#last === null && !isAddress)) throw unknownWord(word);
    this.#at--;
    return this.#value(isIn(CONNECTIVES, before) && this.#last !== null ? this.#last : { proto: null, way: null, kind: null });
  }

  #value({ proto, way, kind }: Qualifiers): FilterExpr {
    const named = { ...(way === null || way === 'either' ? {} : { way }) };
    if (kind === 'port' || kind === 'portrange') return { ...this.#ports(proto, kind), ...named };
    if (kind === 'proto') return this.#protocol(proto);
    const text = this.#next(kind === 'net' ? 'a network' : 'an address');
    if (proto === 'ether') {
      if (kind === 'net') throw new UsageError(`'ether' goes with host, src, dst, proto, broadcast and multicast, not with net`);
      return { lladdr: lladdrArg(text), ...named };
    }
    if (proto !== null && !isIn(['ip', 'ip6', 'arp'], proto))
      throw new UsageError(`'${proto}' goes with port and portrange, not with addresses: '${proto} and host ${text}'`);
    const family = { ...named, ...(proto === null ? {} : { family: proto as 'ip' | 'ip6' | 'arp' }) };
    if (kind === 'net') return { ...this.#net(text), ...family };
    return { host: hostArg(text), ...family };
  }

  #ports(proto: string | null, kind: 'port' | 'portrange'): Extract<FilterExpr, { port: number }> {
    if (proto !== null && !isIn(['tcp', 'udp'], proto)) throw new UsageError(`'${proto}' has no ports; tcp and udp have`);
    const text = this.#next(kind === 'port' ? 'a port' : 'a range of ports');
    const of = proto === null ? {} : { proto: proto as 'tcp' | 'udp' };
    if (kind === 'port') return { port: wholeNumber(text, 'a port', 0, 65535), ...of };
    const [from = '', to = '', ...rest] = text.split('-');
    if (to === '' || rest.length > 0) throw new UsageError(`a range of ports is like 6000-6008, not '${text}'`);
    const port = wholeNumber(from, 'a port', 0, 65535);
    return { port, to: wholeNumber(to, 'a port', port, 65535), ...of };
  }

  #protocol(proto: string | null): FilterExpr {
    const text = this.#next('a protocol').replace(/^\\/, '');
    if (proto === 'ether') return { ethertype: ETHERTYPES[text] ?? wholeNumber(text, 'a type of Ethernet', 0, 65535) };
    if (proto !== null && proto !== 'ip' && proto !== 'ip6')
      throw new UsageError(`'${proto} proto' means nothing; 'ip proto' and 'ether proto' do`);
    const term: FilterExpr = isIn(['icmp', 'icmp6', 'igmp', 'tcp', 'udp'] as const, text)
      ? { proto: text }
      : { proto: wholeNumber(text, 'a protocol', 0, 255) };
    return proto === null ? term : { and: [{ proto }, term] };
  }

  /** `10.0.0.0/8`, `10.1`, `10.0.0.0 mask 255.0.0.0`. */
  #net(text: string): Extract<FilterExpr, { net: string }> {
    const short = /^\d{1,3}(\.\d{1,3}){0,2}$/.test(text) ? text.split('.') : null;
    let prefix = short === null ? text : `${[...short, '0', '0', '0'].slice(0, 4).join('.')}/${short.length * 8}`;
    if (this.#peek() === 'mask') {
      this.#at++;
      prefix = `${text}/${netmaskArg(this.#next('a netmask'))}`;
    }
    const parsed = parsePrefix(prefix.includes('/') ? prefix : `${prefix}/${prefix.includes(':') ? 128 : 32}`);
    if (parsed === null) throw new UsageError(`a network is like 10.0.0.0/8 or 10.1, not '${text}'`);
    const { addr, len } = parsed;
    const rest = [addr.w0, addr.w1, addr.w2, addr.w3].some((word, i) => {
      const bits = (prefix.includes(':') ? len : len + 96) - 32 * i;
      const isMapped = !prefix.includes(':') && i < 3;
      return !isMapped && bits < 32 && (word & (bits <= 0 ? -1 : ~(-1 << (32 - bits)))) !== 0;
    });
    if (rest) throw new UsageError(`'${text}' has bits set behind its network's ${len}`);
    return { net: prefix.split('/')[0] ?? prefix, bits: len };
  }

  #alone(word: (typeof ALONE)[number], proto: string | null): FilterExpr {
    if (word === 'in' || word === 'inbound') return { direction: 'in' };
    if (word === 'out' || word === 'outbound') return { direction: 'out' };
    if (word === 'greater') return { greater: wholeNumber(this.#next('a length'), 'a length', 0, 1e9) };
    if (word === 'less') return { less: wholeNumber(this.#next('a length'), 'a length', 0, 1e9) };
    if (word === 'len') return this.#length();
    if (proto === 'ip' && word === 'multicast') return { group: 'ip multicast' };
    if (proto !== null && proto !== 'ether')
      throw new UsageError(`'${proto} ${word}' cannot be asked for; 'ether ${word}' and 'ip multicast' can`);
    return { group: word };
  }

  #length(): FilterExpr {
    const op = this.#next('a comparison');
    const n = constant(this.#next('a length'));
    if (op === '>=' || op === '>') return { greater: op === '>' ? n + 1 : n };
    if (op === '<=' || op === '<') return { less: op === '<' ? n - 1 : n };
    const equal: FilterExpr = { and: [{ greater: n }, { less: n }] };
    if (op === '=' || op === '==') return equal;
    if (op === '!=') return { not: equal };
    throw new UsageError(`'len' is followed by one of = != < > <= >=, not '${op}'`);
  }

  #relation(header: Parameters<typeof relation>[0]): FilterExpr {
    const { expr, used } = relation(header, this.#tokens.slice(this.#at));
    this.#at += used;
    return expr;
  }
}

function join(kind: 'and' | 'or', left: FilterExpr, right: FilterExpr): FilterExpr {
  if (kind === 'and') return { and: ['and' in left ? left.and : [left], [right]].flat() };
  return { or: ['or' in left ? left.or : [left], [right]].flat() };
}

function hostArg(text: string): string {
  if (/[g-z]/i.test(text))
    throw isIn(WORDS, text) ? new UsageError(`an address is missing in front of '${text}'`) : unknownWord(text);
  return addressArg(text, 'a host');
}

function unknownWord(word: string): UsageError {
  const near = nearest(word, WORDS);
  const meant = near === null ? '' : `; did you mean '${near}'?`;
  return new UsageError(`'${word}' is not in the filter language: ${LANGUAGE} (names are not looked up)${meant}`);
}

export const LANGUAGE = `[${PROTOCOLS.join('|')}] [src|dst] [host A|net A/LEN|port N|portrange N-M|proto N], broadcast, multicast, greater N, less N, in, out, tcp[tcpflags] & tcp-syn != 0, joined by and, or, not, ( )`;

/** A filter, which may be in one word or in many; null for none. UsageError: what is wrong with it. */
export function readFilter(words: readonly string[]): FilterExpr | null {
  const tokens = tokensOf(words.join(' '));
  return tokens.length === 0 ? null : new FilterParser(tokens).all();
}
