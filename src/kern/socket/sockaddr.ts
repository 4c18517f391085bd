/** Socket addresses of all families: copies that outlive a call, and their text for logs and tables. */
import { copyAddr } from '../../wire/addr.ts';
import type { SockAddr } from './protosw.ts';

/** A copy to keep: addresses that a protocol hands up are often buffers that it fills again. */
export function copySockAddr(a: SockAddr): SockAddr {
  return a.kind === 'inet' ? { kind: 'inet', addr: copyAddr(a.addr), port: a.port } : { kind: 'local', path: a.path };
}
