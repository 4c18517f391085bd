/**
 * The accept filter `tlsready`: waits for the first TLS record, which holds the client's hello (RFC 8446 §5.1). What does not begin
 * as a handshake record, or says that it is too long, is passed on at once.
 */
import type { AcceptFilter } from './accf.ts';

const CONTENT_HANDSHAKE = 22;
const HEADER_LEN = 5;
/** Longest plaintext record in bytes. */
const RECORD_MAX = 16384;

export const accfTls: AcceptFilter = {
  name: 'tlsready',
  ready: ({ rcv }) => {
    if (rcv.cc === 0) return false;
    if (rcv.byteAt(0) !== CONTENT_HANDSHAKE) return true;
    if (rcv.cc < HEADER_LEN) return false;
    const len = (rcv.byteAt(3) << 8) | rcv.byteAt(4);
    return len > RECORD_MAX || rcv.cc >= HEADER_LEN + len;
  },
};
