/**
 * What a network stack is built from, in one import: `netmod/kit` for a stack in a package of its own. It is the kernel's contracts with
 * modules, interfaces and sockets, and the byte formats; nothing of another stack. `KERN_CONTRACT` is its version.
 */
export * from '../kern/errno.ts';
export * from '../kern/packet.ts';
export { type KobjClass, type KobjInterface, bindObject, defineClass, defineInterface } from '../kern/kobj.ts';
export * from '../kern/netstack.ts';
export { NETISR_LINK, NETISR_STACK, type NetisrWork } from '../kern/netisr.ts';
export {
  KERN_CONTRACT,
  type ModuleDepend,
  type ModuleEvent,
  type ModuleInstance,
  type ModuleSpec,
  type ModuleStat,
} from '../kern/module.ts';
export type { SysinitEntry } from '../kern/sysinit.ts';
export { type Undo, UndoList, once } from '../kern/undo.ts';
export { Callout } from '../kern/callout.ts';
export { ENOIOCTL, type IocHandler, type IoctlResult } from '../kern/ioctl.ts';
export * from '../kern/ifnet/ifioctl.ts';
export type { Ifnet } from '../kern/ifnet/ifnet.ts';
export * from '../kern/ifnet/link.ts';
export type { Kernel } from '../kern/kernel.ts';
export type { Proc } from '../kern/proc/proc.ts';
export * from '../kern/socket/protosw.ts';
export * from '../kern/socket/socket.ts';
export * from '../kern/socket/soconst.ts';
export { sosetfib } from '../kern/socket/sockopt.ts';
export * from '../kern/socket/upcalls.ts';
export * from '../wire/addr.ts';
export * from '../wire/addrtext.ts';
export * from '../wire/arp.ts';
export * from '../wire/bytes.ts';
export * from '../wire/checksum.ts';
export * from '../wire/ethernet.ts';
export * from '../wire/icmp.ts';
export * from '../wire/ipv4.ts';
export * from '../wire/seq.ts';
export * from '../wire/tcp.ts';
export * from '../wire/udp.ts';
