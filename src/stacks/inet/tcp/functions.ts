/**
 * Pluggable TCP in the manner of FreeBSD's function blocks (tcp_functions(9)): a block is what decides how lost data is found and sent again,
 * and which congestion control may go with that. Blocks are listed, one is the default of new connections, and a connection is
 * handed from one to another by TCP_FUNCTION_BLK, also while it stands and has data in flight.
 */
import type { Errno } from '../../../kern/errno.ts';
import type { SysctlLeaf } from '../../../kern/sysctl.ts';
import type { TcpInst } from './inst.ts';
import type { Recovery } from './recovery.ts';
import { TCPS_ESTABLISHED, TCPS_LISTEN, TCPS_SYN_SENT } from './states.ts';
import { TF_CWNDLIMITED, TF_FASTRECOVERY, TF_FASTREXMT, TF_PARTIALACK, TF_RTOLOSS, TF_TIMING, type Tcb } from './tcb.ts';

export interface FunctionBlock {
  readonly name: string;
  readonly recovery: Recovery;
  /** Congestion control that it works with, the one it brings along first; null: any. */
  readonly algorithms: readonly string[] | null;
}

export class FunctionBlocks {
  readonly blocks: ReadonlyMap<string, FunctionBlock>;
  /** Of new sockets. Accepted ones have their listener's. */
  defaultBlock: FunctionBlock;

  /** The first one is the default. */
  constructor(blocks: readonly [FunctionBlock, ...FunctionBlock[]]) {
    this.blocks = new Map(blocks.map((block) => [block.name, block]));
    this.defaultBlock = blocks[0];
  }
}

/** The congestion control that goes with a block: the one wanted if it takes it, else its own. */
export function ccFor(tcp: TcpInst, block: FunctionBlock, wanted: string): string {
  const own = block.algorithms;
  return own === null || own.includes(wanted) || !tcp.algorithms.has(own[0] ?? '') ? wanted : (own[0] as string);
}

/** Name of a connection's congestion control. */
export function ccName(tcb: Tcb): string {
  for (const [name, cc] of tcb.tcp.algorithms) if (cc === tcb.cc) return name;
  return '';
}

/** Gives a connection another congestion control. ENOENT: there is none of this name. EINVAL: its block does not work with it. */
export function setCongestion(tcp: TcpInst, tcb: Tcb, name: string): Errno | null {
  const cc = tcp.algorithms.get(name);
  if (cc === undefined) return 'ENOENT';
  const { algorithms } = tcb.fb;
  if (algorithms !== null && !algorithms.includes(name)) return 'EINVAL';
  if (cc === tcb.cc) return null;
  const { cwnd, ssthresh } = tcb;
  tcb.cc.destroy(tcb);
  tcb.ccData = null;
  tcb.cc = cc;
  if (tcb.state < TCPS_ESTABLISHED) return null;
  cc.connInit(tcb);
  // What was learnt about the path is the path's, not the algorithm's.
  tcb.cwnd = cwnd;
  tcb.ssthresh = ssthresh;
  return null;
}

/**
 * Hands a connection to the block `name`. ENOENT: there is none. EBUSY: the handshake is under way, whose state belongs to the block that
 * began it. What is in flight stays in flight: the new block learns of losses from the ACKs that come, and the timer stands behind it.
 */
export function switchBlock(tcp: TcpInst, tcb: Tcb, name: string): Errno | null {
  const block = tcp.functions.blocks.get(name);
  if (block === undefined) return 'ENOENT';
  if (block === tcb.fb) return null;
  if (tcb.state >= TCPS_SYN_SENT && tcb.state < TCPS_ESTABLISHED) return 'EBUSY';
  const inRecovery = (tcb.flags & (TF_FASTRECOVERY | TF_RTOLOSS)) !== 0;
  tcb.recovery.detach(tcb);
  tcb.fb = block;
  tcb.recovery = block.recovery;
  tcb.flags &= ~(TF_FASTRECOVERY | TF_FASTREXMT | TF_PARTIALACK | TF_RTOLOSS | TF_TIMING | TF_CWNDLIMITED);
  tcb.dupAcks = 0;
  tcb.limXmit = 0;
  // Duplicates of what was sent before are no new loss (RFC 6582 §3.2 step 2), if a loss was being repaired.
  tcb.recover = inRecovery ? tcb.sndMax : (tcb.sndUna - 1) | 0;
  if (inRecovery && tcb.cwnd > tcb.ssthresh) tcb.cwnd = Math.max(tcb.ssthresh, 2 * tcb.mss);
  tcp.stats.fbswitched++;
  const err = setCongestion(tcp, tcb, ccFor(tcp, block, ccName(tcb)));
  if (tcb.state > TCPS_LISTEN) tcp.mark(tcb);
  return err;
}

/** An accepted connection has its listener's block and congestion control. */
export function takeBlock(tcb: Tcb, listener: Tcb): void {
  tcb.fb = listener.fb;
  tcb.recovery = listener.recovery;
  tcb.cc = listener.cc;
}

/** How many connections and listeners a block drives. */
export function blockUsers(tcp: TcpInst, block: FunctionBlock): number {
  let n = 0;
  for (const conn of tcp.conns.all()) if ('fb' in conn && conn.fb === block) n++;
  for (const listener of tcp.ports.listeners()) if (listener.fb === block) n++;
  return n;
}

export function functionSysctls(tcp: TcpInst): SysctlLeaf[] {
  const { functions } = tcp;
  return [
    {
      name: 'net.inet.tcp.functions_available',
      descr: 'function blocks and their connections; * is the default',
      flags: 'rd',
      type: 'string',
      get: () =>
        [...functions.blocks.values()]
          .map((block) => `${block.name}${block === functions.defaultBlock ? '*' : ''}:${blockUsers(tcp, block)}`)
          .join(' '),
    },
    {
      name: 'net.inet.tcp.functions_default',
      descr: 'function block of new sockets',
      flags: 'rwtun',
      type: 'string',
      get: () => functions.defaultBlock.name,
      set: (name) => {
        const block = functions.blocks.get(name);
        if (block === undefined) return 'ENOENT';
        functions.defaultBlock = block;
        return null;
      },
    },
  ];
}
