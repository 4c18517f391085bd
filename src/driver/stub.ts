/**
 * The stub that stands in for a device that is missing: the class that fills no method, so that every default routine of the link
 * interface answers. It takes configuration, refuses output with ENXIO, and its interface counts what was refused and says why it did
 * not start.
 */
import { bindObject, defineClass } from '../kern/kobj.ts';
import { type Link, type LinkInfo, type LinkMethods, linkInterface } from '../kern/ifnet/link.ts';

export const stubClass = defineClass<unknown, LinkMethods>({ name: 'stub', implements: linkInterface, methods: {} });

/** The same, with what is known of the device that should be there. */
const namedStubClass = defineClass<LinkInfo, LinkMethods>({
  name: 'stub',
  implements: linkInterface,
  bases: [stubClass],
  methods: {
    info: (info) => info,
    setLladdr: () => null,
  },
});

/** A stub; with `info`, an interface on it has the missing device's MTU and hardware address. No capabilities in either case. */
export function createStub(info?: Pick<LinkInfo, 'type' | 'lladdr' | 'mtu' | 'maxMtu'>): Link {
  if (info === undefined) return bindObject(stubClass, null);
  return bindObject(namedStubClass, { ...info, capabilities: 0, tsoMax: 0 });
}
