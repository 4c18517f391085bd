/** What the operator sees of TCP besides its sockets: records that no socket stands for. */
import type { OrphanPcb } from '../../../kern/netstack.ts';
import { soisclosed } from '../../../kern/socket/sofree.ts';
import { CONN_SYN, isTcb, type Conn } from './conn.ts';
import { tcpInfo } from './info.ts';
import type { TcpInst } from './inst.ts';
import { stateName } from './states.ts';
import type { SynConn } from './syncache.ts';
import type { Tcb } from './tcb.ts';
import type { TimeWaitConn } from './timewait.ts';

/** Half-open connections, those that end without their user, and TIME-WAIT. */
export function tcpOrphans(tcp: TcpInst): OrphanPcb[] {
  const rows: OrphanPcb[] = [];
  for (const conn of tcp.conns.all()) {
    if (isTcb(conn)) {
      const tcb = conn as Tcb;
      if (soisclosed(tcb.so)) rows.push(closingRow(tcp, tcb));
    } else if (conn.kind === CONN_SYN) rows.push(record(conn, 'SYN_RCVD', (conn as SynConn).listener.so.fib));
    else rows.push(record(conn, 'TIME_WAIT', (conn as TimeWaitConn).fib));
  }
  return rows;
}

function record({ laddr, lport, faddr, fport }: Conn, state: string, fib: number): OrphanPcb {
  return { laddr, lport, faddr, fport, state, fib, sendq: 0, info: null, cc: null };
}

function closingRow(tcp: TcpInst, tcb: Tcb): OrphanPcb {
  let cc: string | null = null;
  for (const [name, algorithm] of tcp.algorithms) if (algorithm === tcb.cc) cc = name;
  return { ...record(tcb, stateName(tcb.state), tcb.so.fib), sendq: tcb.so.snd.cc, info: tcpInfo(tcb), cc };
}
