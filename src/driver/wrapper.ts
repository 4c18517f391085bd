/** A link around another link: hands every call on. Wrappers inherit from it and fill what they do differently. */
import { defineClass } from '../kern/kobj.ts';
import { type Link, type LinkMethods, linkInterface } from '../kern/ifnet/link.ts';

/** What a wrapper's state has at least. */
export interface Wrapper {
  readonly inner: Link;
}

export const wrapperClass = defineClass<Wrapper, LinkMethods>({
  name: 'wrapper',
  implements: linkInterface,
  methods: {
    info: ({ inner }) => inner.info(),
    start: ({ inner }, up) => inner.start(up),
    stop: ({ inner }) => inner.stop(),
    txAlloc: ({ inner }) => inner.txAlloc(),
    transmit: ({ inner }, pkt) => inner.transmit(pkt),
    txFree: ({ inner }, pkt) => inner.txFree(pkt),
    flush: ({ inner }) => inner.flush(),
    setUp: ({ inner }, up) => inner.setUp(up),
    setMtu: ({ inner }, mtu) => inner.setMtu(mtu),
    setLladdr: ({ inner }, lladdr) => inner.setLladdr(lladdr),
    setCapEnable: ({ inner }, bits) => inner.setCapEnable(bits),
    ioctl: ({ inner }, cmd, data) => inner.ioctl(cmd, data),
  },
});
