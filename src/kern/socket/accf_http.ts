/**
 * The accept filter `httpready` (accf_http(9)): waits for the whole head of a GET or HEAD request of HTTP/1.0 or 1.1 (RFC 9112 §2.1).
 * Anything else is passed on as soon as it shows. Each byte is looked at once, however few come at a time.
 */
import type { AcceptFilter, AcceptFilterState } from './accf.ts';
import type { SockbufView } from './sockbuf.ts';
import type { Socket } from './socket.ts';

const ascii = (text: string): readonly number[] => [...text].map((c) => c.charCodeAt(0));

const GET = ascii('GET ');
const HEAD = ascii('HEAD ');
const VERSION = ascii(' HTTP/1.');
const LF = 10;
const CR = 13;
const ZERO = 48;
const ONE = 49;

/** Where the filter is: `AcceptFilterState.stage`. */
const IN_METHOD = 0;
const IN_REQUEST_LINE = 1;
const IN_FIELD = 2;
/** Behind the end of a line, and a carriage return behind that. */
const AT_LINE = 3;
const AT_LINE_CR = 4;

export const accfHttp: AcceptFilter = { name: 'httpready', ready };

function ready(so: Socket, state: AcceptFilterState): boolean {
  const { rcv } = so;
  for (; state.pos < rcv.cc; state.pos++) {
    const c = rcv.byteAt(state.pos);
    switch (state.stage) {
      case IN_METHOD: {
        const method = rcv.byteAt(0) === HEAD[0] ? HEAD : GET;
        if (c !== method[state.pos]) return true;
        if (state.pos === method.length - 1) state.stage = so.kernel.domains.limits.parsehttpversion ? IN_REQUEST_LINE : IN_FIELD;
        break;
      }
      case IN_REQUEST_LINE:
        if (c !== LF) break;
        if (!endsWithVersion(rcv, state.pos)) return true;
        state.stage = AT_LINE;
        break;
      case IN_FIELD:
        if (c === LF) state.stage = AT_LINE;
        break;
      default:
        if (c === LF) return true;
        state.stage = c === CR && state.stage === AT_LINE ? AT_LINE_CR : IN_FIELD;
    }
  }
  return false;
}

/** Does the line before `end` say HTTP/1.0 or HTTP/1.1? */
function endsWithVersion(rcv: SockbufView, end: number): boolean {
  const minor = rcv.byteAt(end - 1) === CR ? end - 2 : end - 1;
  const c = rcv.byteAt(minor);
  if (c !== ZERO && c !== ONE) return false;
  const start = minor - VERSION.length;
  return start > 0 && VERSION.every((v, i) => rcv.byteAt(start + i) === v);
}
