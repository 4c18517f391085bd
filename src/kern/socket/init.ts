/** Start-up of the socket layer: accept filters, the local domain, and the system calls on descriptors. */
import { isErrno } from '../errno.ts';
import type { Kernel } from '../kernel.ts';
import { KERN_SYSCALLS } from '../proc/kernsyscalls.ts';
import { PROC_SYSCALLS } from '../proc/syscalls.ts';
import type { SysinitEntry } from '../sysinit.ts';
import { UndoList } from '../undo.ts';
import { accfData } from './accf_data.ts';
import { accfDns } from './accf_dns.ts';
import { accfHttp } from './accf_http.ts';
import { accfTls } from './accf_tls.ts';
import { localDomain } from './local.ts';

const FILTERS = [accfData, accfDns, accfHttp, accfTls] as const;

/** For `kernel.sysinit`. The local domain comes with the stack's, before address families are frozen. */
export function socketEntries(kernel: Kernel): SysinitEntry[] {
  const filters = new UndoList();
  const domain = new UndoList();
  const calls = new UndoList();
  return [
    {
      level: 'DRIVERS',
      order: 'MIDDLE',
      name: 'accept filters',
      run: () => {
        for (const filter of FILTERS) {
          const undo = kernel.accfilters.add(filter);
          if (isErrno(undo)) return undo;
          filters.own(undo);
        }
        const { limits } = kernel.domains;
        const undo = kernel.sysctl.add({
          name: 'net.inet.accf.http.parsehttpversion',
          descr: 'httpready holds only requests that say HTTP/1.0 or HTTP/1.1',
          type: 'bool',
          flags: 'rwtun',
          get: () => limits.parsehttpversion,
          set: (value) => void (limits.parsehttpversion = value),
        });
        if (isErrno(undo)) return undo;
        filters.own(undo);
        return null;
      },
      undo: () => filters.run(),
    },
    {
      level: 'PROTO_DOMAIN',
      order: 'FIRST',
      name: 'local domain',
      run: () => {
        const undo = kernel.domains.add(localDomain(kernel));
        if (isErrno(undo)) return undo;
        domain.own(undo);
        return null;
      },
      undo: () => domain.run(),
    },
    {
      level: 'SYSCALLS',
      order: 'FIRST',
      name: 'system calls on descriptors',
      run: () => {
        const undo = kernel.syscalls.register('kernel', { ...PROC_SYSCALLS, ...KERN_SYSCALLS });
        if (isErrno(undo)) return undo;
        calls.own(() => void undo());
        return null;
      },
      undo: () => calls.run(),
    },
  ];
}
