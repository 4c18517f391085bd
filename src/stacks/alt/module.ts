/**
 * The stack as a module of the kernel: `netstack_alt`. Loading makes the slabs and takes the kernel's one slot for a stack; the start-up
 * levels that follow register the address family and the ioctl groups. Without `setfib`: there is one routing table.
 */
import { type Errno, isErrno } from '../../kern/errno.ts';
import type { Ifnet } from '../../kern/ifnet/ifnet.ts';
import type { Kernel } from '../../kern/kernel.ts';
import { bindObject, defineClass } from '../../kern/kobj.ts';
import type { ModuleInstance, ModuleSpec } from '../../kern/module.ts';
import { type FrameInput, NETSTACK_CAP_LRO, type NetstackMethods, netstackInterface } from '../../kern/netstack.ts';
import {
  AF_INET,
  type Domain,
  PR_ADDR,
  PR_ATOMIC,
  PR_CONNREQUIRED,
  PR_CONTROL,
  PR_WANTRCVD,
  SOCK_DGRAM,
  SOCK_STREAM,
} from '../../kern/socket/protosw.ts';
import type { Undo } from '../../kern/undo.ts';
import { IPPROTO_TCP, IPPROTO_UDP } from '../../wire/ipv4.ts';
import { addrToString } from '../../wire/addrtext.ts';
import { ipv4 } from '../../wire/addr.ts';
import { macToString } from '../../wire/ethernet.ts';
import { Alt } from './alt.ts';
import { addSysctls } from './config.ts';
import { ROW_SHIFT, STATE, TS_CLOSING, TS_FIN_WAIT_1, TS_FREE, TS_LAST_ACK } from './flows.ts';
import { icmpReassExpired } from './icmperr.ts';
import { ifIoctl, rtIoctl } from './ioctl.ts';
import { etherInput, rawInput } from './ipin.ts';
import { MAX_NETIFS, NetIf } from './netif.ts';
import { orphans, resetStack } from './observe.ts';
import { rawProtosw } from './rawusr.ts';
import { at } from './slab.ts';
import { abortFlow, timewaitTick } from './tcp/close.ts';
import { runOutput } from './tcp/output.ts';
import { flowTimer } from './tcp/timer.ts';
import { tcpMethods } from './tcp/usrreq.ts';
import { udpMethods } from './udpusr.ts';
import { KEEP_ARP, KEEP_REASS, KEEP_TIMEWAIT } from './wheel.ts';

/** What the wheel woke: a flow, or one of those behind the flows. */
function runTimer(s: Alt, entry: number): void {
  const keeper = entry - s.cfg.flows;
  if (keeper < 0) flowTimer(s, entry);
  else if (keeper === KEEP_TIMEWAIT) timewaitTick(s);
  else if (keeper === KEEP_ARP) s.arp.tick();
  else if (keeper === KEEP_REASS) {
    const next = s.reass.tick(s.time.ms, (bytes, ip, end) => icmpReassExpired(s, bytes, ip, end));
    if (next > 0) s.wakeKeeper(KEEP_REASS, next);
  }
}

export function createAlt(kernel: Kernel): Alt {
  const s = new Alt(kernel, runOutput, runTimer);
  s.loop.onInput((pkt) => rawInput(s, s.ifs[0] as NetIf, pkt));
  s.arp.bindHost({
    now: () => s.time.ms,
    owns: (nif, addr) => s.routes.isLocal(addr) && at(s.routes.addrIx, s.routes.find(addr)) === nif.ix,
    sourceFor: (nif, addr) => s.routes.sourceOf(nif.ix, addr),
    wake: (ms) => {
      if (!kernel.netisr.active()) s.time.refresh();
      s.wakeKeeper(KEEP_ARP, ms);
    },
    conflict: (nif, addr, mac) =>
      s.log.warn(
        { if: nif.ifp?.name(), addr: addrToString(ipv4(addr)), mac: macToString(mac) },
        'another station uses our address',
      ),
    netif: (ix) => s.ifs[ix] ?? null,
    heard: (nif, oper, spa, tpa, b, sha) => {
      if (s.dad.probing > 0) s.dad.heard(nif, oper, spa, tpa, b, sha);
    },
  });
  return s;
}

function ifAttach(s: Alt, ifp: Ifnet): FrameInput | Errno {
  const free = s.ifs.indexOf(null, 1);
  const ix = free < 0 ? s.ifs.length : free;
  if (ix >= MAX_NETIFS) return 'ENOSPC';
  const nif = new NetIf(ifp, ix, null);
  s.ifs[ix] = nif;
  ifp.afdata = nif;
  if (nif.loopback) {
    s.routes.loopIx = ix;
    s.routes.gen++;
  }
  return nif.ethernet ? (pkt) => etherInput(s, nif, pkt) : (pkt) => rawInput(s, nif, pkt);
}

function ifDetach(s: Alt, ifp: Ifnet): void {
  const nif = ifp.afdata;
  if (!(nif instanceof NetIf)) return;
  s.arp.forget(nif.ix, 0);
  s.dad.forgetAll(nif.ix);
  if (s.routes.loopIx === nif.ix) s.routes.loopIx = 0;
  s.routes.purge(nif.ix);
  s.ifs[nif.ix] = null;
}

function ifChanged(s: Alt, ifp: Ifnet): void {
  const nif = ifp.afdata;
  if (!(nif instanceof NetIf)) return;
  nif.refresh();
  // Flows look at their way again; an address that has come up is announced.
  s.routes.gen++;
  s.dad.changed(nif.ix);
  if (!ifp.isUp()) return;
  for (let k = 0; k < s.routes.naddrs; k++) if (at(s.routes.addrIx, k) === nif.ix) s.arp.announce(nif, at(s.routes.addr, k));
}

/** Bytes, or an end, that the peer has not acknowledged. What only waits for the peer's own end is none of ours. */
function busy(s: Alt): boolean {
  const { flows } = s;
  for (let i = 0; i < flows.highWater(); i++) {
    const o = i << ROW_SHIFT;
    const state = at(flows.w, o + STATE);
    if (state === TS_FREE) continue;
    if (state === TS_FIN_WAIT_1 || state === TS_CLOSING || state === TS_LAST_ACK) return true;
    if ((flows.socketOf[i]?.snd.cc ?? 0) > 0) return true;
  }
  return false;
}

const altClass = defineClass<Alt, NetstackMethods>({
  name: 'alt',
  implements: netstackInterface,
  methods: {
    capabilities: () => NETSTACK_CAP_LRO,
    ifAttach,
    ifDetach,
    ifChanged,
    ioctl: (s, cmd, data) => {
      const err = ((cmd >>> 8) & 0xff) === 0x72 ? rtIoctl(s, cmd, data) : ifIoctl(s, cmd, data);
      return err === 'ENOIOCTL' ? 'EOPNOTSUPP' : err;
    },
    busy,
    orphans: (s, protocol) => (protocol === IPPROTO_TCP ? orphans(s) : []),
    reset: resetStack,
  },
});

function inetDomain(s: Alt): Domain {
  const tcp = {
    name: 'tcp',
    type: SOCK_STREAM,
    protocol: IPPROTO_TCP,
    flags: PR_CONNREQUIRED | PR_WANTRCVD,
    methods: tcpMethods(s),
  };
  const udp = {
    name: 'udp',
    type: SOCK_DGRAM,
    protocol: IPPROTO_UDP,
    flags: PR_ATOMIC | PR_ADDR | PR_CONTROL,
    methods: udpMethods(s),
  };
  return { family: AF_INET, name: 'internet', protosw: [tcp, udp, rawProtosw(s)] };
}

/** Ends what is left when the stack goes: peers get a reset. */
function destroy(s: Alt): void {
  for (let i = 0; i < s.flows.highWater(); i++)
    if (at(s.flows.w, (i << ROW_SHIFT) + STATE) !== TS_FREE) abortFlow(s, i, 'ECONNABORTED');
  runOutput(s);
  s.wheel.stop();
  s.dad.stop();
}

function create(kernel: Kernel, own: (undo: Undo) => void): ModuleInstance {
  let stack: Alt | null = null;
  const keep = (undo: Undo | Errno): Errno | null => {
    if (isErrno(undo)) return undo;
    own(undo);
    return null;
  };
  const load = (): Errno | null => {
    const s = createAlt(kernel);
    const methods = bindObject(altClass, s);
    const err = kernel.netstack.register('alt', methods);
    if (err !== null) return err;
    stack = s;
    own(() => {
      kernel.netstack.unregister(methods);
      destroy(s);
    });
    for (const [group, counters] of Object.entries(s.ct)) own(kernel.counters.add(group, counters as object));
    return addSysctls(
      kernel,
      s.cfg,
      {
        'net.alt.flows': () => s.cfg.flows,
        'net.alt.flows_used': () => s.flows.used,
        'net.alt.flows_peak': () => s.flows.peak,
        'net.alt.embryonic': () => s.cfg.embryonic,
        'net.alt.embryonic_used': () => s.flows.embryonic,
        'net.alt.timewait': () => s.cfg.timewait,
        'net.alt.timewait_used': () => s.timewait.used,
        'net.alt.ranges': () => s.cfg.ranges,
        'net.alt.ranges_used': () => s.ranges.used,
        'net.alt.udpsockets': () => s.cfg.udpSockets,
        'net.alt.udpsockets_used': () => s.udp.used,
      },
      own,
    );
  };
  return {
    event: (what) => (what === 'load' ? load() : what === 'unload' || what === 'quiesce' ? 'EBUSY' : null),
    sysinits: [
      {
        level: 'PROTO_DOMAIN',
        order: 'FIRST',
        name: 'alt_domain',
        run: () => {
          const s = stack;
          if (s === null) return 'ENXIO';
          return (
            keep(kernel.domains.add(inetDomain(s))) ??
            keep(kernel.iocgroups.add('i', (_so, cmd, data) => ifIoctl(s, cmd, data))) ??
            keep(kernel.iocgroups.add('r', (_so, cmd, data) => rtIoctl(s, cmd, data)))
          );
        },
      },
    ],
  };
}

export const netmodModule: ModuleSpec = {
  name: 'netstack_alt',
  version: 1,
  contract: 1,
  level: 'NETSTACK',
  order: 'MIDDLE',
  create,
};
