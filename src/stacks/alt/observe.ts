/** What the operator sees of the stack besides its sockets: flows that no socket stands for; and the way back to the start. */
import type { OrphanPcb } from '../../kern/netstack.ts';
import { soisclosed } from '../../kern/socket/sofree.ts';
import { ipv4 } from '../../wire/addr.ts';
import type { Alt } from './alt.ts';
import { FADDR, LADDR, PORTS, ROW_SHIFT, STATE, STATE_NAMES, TS_SYN_SENT } from './flows.ts';
import { at } from './slab.ts';
import { abortFlow, endTimeWait } from './tcp/close.ts';
import { ccName } from './tcp/cc.ts';
import { tcpInfo } from './tcp/info.ts';
import { W_FADDR, W_LADDR, W_PORTS } from './tcp/timewait.ts';

/** Half-open flows, those that end without their user, and TIME-WAIT. */
export function orphans(s: Alt): OrphanPcb[] {
  const rows: OrphanPcb[] = [];
  const { flows, timewait } = s;
  const { w } = flows;
  for (let i = 0; i < flows.highWater(); i++) {
    const o = i << ROW_SHIFT;
    const state = at(w, o + STATE);
    if (state < TS_SYN_SENT) continue;
    const so = flows.socketOf[i] ?? null;
    if (so !== null && !soisclosed(so)) continue;
    const row = record(at(w, o + LADDR), at(w, o + FADDR), at(w, o + PORTS), STATE_NAMES[state] ?? '');
    rows.push(so === null ? row : { ...row, sendq: so.snd.cc, info: tcpInfo(s, i), cc: ccName(s, i) });
  }
  for (let k = timewait.oldest(); k >= 0; k = timewait.after(k)) {
    const r = timewait.row(k);
    rows.push(record(at(timewait.w, r + W_LADDR), at(timewait.w, r + W_FADDR), at(timewait.w, r + W_PORTS), 'TIME_WAIT'));
  }
  return rows;
}

function record(laddr: number, faddr: number, ports: number, state: string): OrphanPcb {
  const lport = ports >>> 16;
  const fport = ports & 0xffff;
  return { laddr: ipv4(laddr), lport, faddr: ipv4(faddr), fport, state, fib: 0, sendq: 0, info: null, cc: null };
}

/** As if just loaded: connections end with a reset; listeners, addresses, static routes and permanent neighbours stay. */
export function resetStack(s: Alt): void {
  const { flows, timewait } = s;
  for (let i = 0; i < flows.highWater(); i++)
    if (at(flows.w, (i << ROW_SHIFT) + STATE) >= TS_SYN_SENT) abortFlow(s, i, 'ECONNABORTED');
  for (let k = timewait.oldest(); k >= 0; k = timewait.oldest()) endTimeWait(s, k);
  s.reass.clear();
  s.arp.forgetLearnt();
  s.routes.gen++;
}
