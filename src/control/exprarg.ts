/** A capture's expression as it comes over the socket, checked. */
import { isV4 } from '../wire/addr.ts';
import { BadArgument, intArg, ipArg, lladdrArg, oneOf, rangeArg } from './args.ts';
import {
  COMPARISONS, FAMILIES, FILTER_BYTES, type FrameExpr, GROUPS, HEADERS, HEADERS_MAX, PROTO_NAMES, WAYS,
} from './capfilter.ts'; // prettier-ignore

/** Terms of one expression: each frame pays for them. */
export const TERMS_MAX = 256;
/** Farthest byte of a header that can be compared. */
const OFFSET_MAX = 65_535;

/** How an expression is being read. */
interface Reading {
  terms: number;
}

type Fields = Readonly<Record<string, unknown>>;

const READERS: Readonly<Record<string, (value: unknown, fields: Fields, reading: Reading) => FrameExpr>> = {
  and: (value, _, reading) => ({ kind: 'and', of: listOf(value, reading) }),
  or: (value, _, reading) => ({ kind: 'or', of: listOf(value, reading) }),
  not: (value, _, reading) => ({ kind: 'not', of: read(value, reading) }),
  proto: (value) => ({
    kind: 'proto',
    proto: typeof value === 'number' ? rangeArg(value, 'proto', 0, 255) : oneOf(value, PROTO_NAMES, 'proto'),
  }),
  ethertype: (value) => ({ kind: 'ethertype', type: rangeArg(value, 'ethertype', 0, 65_535) }),
  host: (value, { way, family }) => {
    const addr = ipArg(value, 'host');
    return {
      kind: 'net',
      addr,
      bits: isV4(addr) ? 32 : 128,
      way: oneOf(way, WAYS, 'way'),
      family: oneOf(family, FAMILIES, 'family'),
    };
  },
  net: (value, { bits, way, family }) => {
    const addr = ipArg(value, 'net');
    const most = isV4(addr) ? 32 : 128;
    return {
      kind: 'net',
      addr,
      bits: rangeArg(bits, 'bits', 0, most),
      way: oneOf(way, WAYS, 'way'),
      family: oneOf(family, FAMILIES, 'family'),
    };
  },
  port: (value, { to = value, way, proto }) => ({
    kind: 'port',
    from: rangeArg(value, 'port', 0, 65_535),
    to: rangeArg(to, 'to', 0, 65_535),
    way: oneOf(way, WAYS, 'way'),
    proto: oneOf(proto, ['any', 'tcp', 'udp'], 'proto'),
  }),
  lladdr: (value, { way }) => ({ kind: 'lladdr', lladdr: lladdrArg(value), way: oneOf(way, WAYS, 'way') }),
  group: (value) => ({ kind: 'group', group: oneOf(value, GROUPS, 'group') }),
  greater: (value) => ({ kind: 'len', min: intArg(value, 'greater'), max: Infinity }),
  less: (value) => ({ kind: 'len', min: 0, max: intArg(value, 'less') }),
  direction: (value) => ({ kind: 'direction', dir: oneOf(value, ['in', 'out'], 'direction') }),
  bytes: (value, { at, size = 1, mask = 0xffffffff, op, value: than }) => {
    const of = oneOf(value, HEADERS, 'bytes');
    const n = intArg(size, 'size');
    if (n !== 1 && n !== 2 && n !== 4) throw new BadArgument('size is one of 1 2 4');
    return {
      kind: 'bytes',
      of,
      at: rangeArg(at, 'at', 0, OFFSET_MAX),
      size: n,
      mask: rangeArg(mask, 'mask', 0, 0xffffffff) | 0,
      op: oneOf(op, COMPARISONS, 'op'),
      value: rangeArg(than, 'value', 0, 0xffffffff),
    };
  },
};

function listOf(value: unknown, reading: Reading): FrameExpr[] {
  if (!Array.isArray(value) || value.length === 0) throw new BadArgument('and, or take a list of expressions');
  return value.map((member) => read(member, reading));
}

function read(value: unknown, reading: Reading): FrameExpr {
  if (++reading.terms > TERMS_MAX) throw new BadArgument(`an expression has at most ${TERMS_MAX} terms`);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new BadArgument('an expression is an object');
  const fields = value as Fields;
  // What stands first says what it is; the others are its details.
  const [kind = ''] = Object.keys(fields);
  const reader = Object.hasOwn(READERS, kind) ? READERS[kind] : undefined;
  if (reader === undefined) {
    throw new BadArgument(
      `an expression begins with one of ${Object.keys(READERS).join(' ')}, not ${JSON.stringify(kind.slice(0, 64))}`,
    );
  }
  return reader(fields[kind], fields, reading);
}

export function exprArg(value: unknown): FrameExpr {
  return read(value, { terms: 0 });
}

/** Bytes of a frame that an expression looks at. */
export function bytesOfExpr(expr: FrameExpr): number {
  if (expr.kind === 'and' || expr.kind === 'or') return Math.max(...expr.of.map(bytesOfExpr));
  if (expr.kind === 'not') return bytesOfExpr(expr.of);
  return expr.kind === 'bytes' ? Math.max(FILTER_BYTES, HEADERS_MAX + expr.at + expr.size) : FILTER_BYTES;
}
