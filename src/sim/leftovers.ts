/**
 * What is left on a host when everything should be over. A stack may keep timers of its own for as long as it knows neighbours or paths,
 * so those count only once they had the time to go: `leftovers` is to be asked after that.
 */
import { isErrno } from '../kern/errno.ts';
import type { SimHost } from './host.ts';

/** One line for each kind of thing that is left. */
export function leftovers({ name, kernel }: SimHost): string[] {
  const { counters } = kernel.domains;
  const lines: string[] = [];
  const say = (n: number, what: string): void => {
    if (n !== 0) lines.push(`${name}: ${n} ${what}`);
  };
  say(counters.created - counters.closed, 'sockets');
  say(kernel.bufpool.used, 'bytes of socket buffers');
  say(kernel.netstack.current.busy() ? 1 : 0, 'connections or more with something in flight');
  say(kernel.callouts.count(), 'timers');
  const connections = kernel.sysctl.table('net.inet.tcp.pcblist');
  if (!isErrno(connections)) say(connections.length, 'connections and listeners of TCP');
  // Rows of tables that a stack counts by sysctl.
  for (const { name: leaf, value } of kernel.sysctl.walk('net.').filter(({ name: leaf }) => /_used$/.test(leaf))) {
    if (typeof value === 'number') say(value, leaf);
  }
  return lines;
}
