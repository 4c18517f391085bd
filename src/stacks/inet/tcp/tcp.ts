/**
 * TCP (RFC 9293, with RFC 7323, 5681, 6582, 3042, 3465, 6298, 6528, 6928, 5961, 5927, 1337, 6191, 4987, 2018 and 2883 as the
 * receiver): its parts put together.
 */
import { bindObject } from '../../../kern/kobj.ts';
import type { OrphanPcb } from '../../../kern/netstack.ts';
import { type Protosw, PR_CONNREQUIRED, PR_IMPLOPCL, PR_WANTRCVD, SOCK_STREAM } from '../../../kern/socket/protosw.ts';
import { UndoList } from '../../../kern/undo.ts';
import { IPPROTO_TCP } from '../../../wire/ipv4.ts';
import type { InetContext, Transport } from '../contract.ts';
import { bbrClass } from './bbr.ts';
import { registerConfig } from './config.ts';
import { isTcb } from './conn.ts';
import { tcpCtlinput } from './ctlinput.ts';
import { cubicClass } from './cubic.ts';
import { functionSysctls } from './functions.ts';
import { Input } from './input.ts';
import { TcpInst } from './inst.ts';
import { newrenoClass } from './newreno.ts';
import { tcpOrphans } from './observe.ts';
import { Output } from './output.ts';
import { RackRecovery } from './rackrecovery.ts';
import { renoRecovery } from './renorecovery.ts';
import type { TcpStats } from './stats.ts';
import type { Tcb } from './tcb.ts';
import { tcpDrop } from './teardown.ts';
import { tcpTimer } from './timers.ts';
import { tcbBusy, tcpProtoClass } from './usrreq.ts';

export interface Tcp {
  readonly transport: Transport;
  /** One for all address families. */
  readonly protosw: Protosw;
  readonly counters: TcpStats;
  /** For those who look inside: the operator's commands and tests. */
  readonly inst: TcpInst;
  /** Connections without a socket: half open, closing, TIME-WAIT. */
  orphans(): OrphanPcb[];
  /** As `shutdown`: what comes afterwards is served. */
  reset(): void;
  /** Connections with unsent data or a closing handshake under way. */
  busy(): boolean;
  /** Resets every connection and forgets listeners' half-open ones and TIME-WAIT. */
  shutdown(): void;
  /** `shutdown`, and takes back what was registered. */
  destroy(): void;
}

export function createTcp(ctx: InetContext): Tcp {
  const undos = new UndoList();
  const inst: TcpInst = new TcpInst(ctx, {
    output: (tcb) => output.run(tcb),
    timer: tcpTimer,
    recovery: new RackRecovery(),
    blocks: [{ name: 'classic', recovery: renoRecovery, algorithms: ['newreno'] }],
    algorithms: (config) => new Map([bbrClass, cubicClass, newrenoClass].map((cls) => [cls.name, bindObject(cls, config)])),
  });
  const output = new Output(inst);
  const input = new Input(inst);
  undos.own(ctx.kernel.counters.add('tcp', inst.stats));
  const err = registerConfig(
    ctx.kernel.sysctl,
    inst.config,
    () => [...inst.algorithms.keys()],
    () => void (inst.how.df = inst.config.pathMtuDiscovery),
    undos.own,
    functionSysctls(inst),
  );
  if (err !== null) inst.log.warn({ err }, 'not all tunables could be registered');

  const shutdown = (): void => {
    for (const conn of inst.conns.all()) if (isTcb(conn)) tcpDrop(conn as Tcb, 'ECONNABORTED');
    for (const listener of inst.ports.listeners()) inst.syncache.forgetListener(listener);
    inst.syncache.stop();
    inst.timewait.clear();
  };

  return {
    transport: {
      protocol: IPPROTO_TCP,
      input: (pkt, ip) => input.input(pkt, ip),
      ctlinput: (kind, quoted, bytes, off, end, mtu) => tcpCtlinput(inst, kind, quoted, bytes, off, end, mtu),
    },
    protosw: {
      name: 'tcp',
      type: SOCK_STREAM,
      protocol: IPPROTO_TCP,
      flags: PR_CONNREQUIRED | PR_WANTRCVD | PR_IMPLOPCL,
      methods: bindObject(tcpProtoClass, inst),
    },
    counters: inst.stats,
    inst,
    orphans: () => tcpOrphans(inst),
    reset: shutdown,
    busy: () => inst.conns.all().some((conn) => isTcb(conn) && tcbBusy(conn as Tcb)),
    shutdown,
    destroy: () => {
      shutdown();
      undos.run();
    },
  };
}
