/** A wrapper around a host's end of a cable that lets others look at the frames on their way: captures and fingerprints. */
import type { Errno } from '../kern/errno.ts';
import { type Link, type LinkMethods, type LinkUp, linkInterface } from '../kern/ifnet/link.ts';
import { bindObject, defineClass } from '../kern/kobj.ts';
import type { RxPacket, TxPacket } from '../kern/packet.ts';
import { wrapperClass } from '../driver/wrapper.ts';

/** Who looks. The packets are on their way: read, and keep nothing. */
export interface Observer {
  received(pkt: RxPacket): void;
  sent(pkt: TxPacket): void;
}

class Observed {
  readonly inner: Link;
  readonly observers: ReadonlySet<Observer>;

  constructor(inner: Link, observers: ReadonlySet<Observer>) {
    this.inner = inner;
    this.observers = observers;
  }

  transmit(pkt: TxPacket): Errno | null {
    for (const observer of this.observers) observer.sent(pkt);
    return this.inner.transmit(pkt);
  }

  start(up: LinkUp): Errno | null {
    return this.inner.start({
      begin: () => up.begin(),
      input: (pkt) => {
        for (const observer of this.observers) observer.received(pkt);
        up.input(pkt);
      },
      end: () => up.end(),
      dropped: (what, frames) => up.dropped(what, frames),
      state: (state) => up.state(state),
    });
  }
}

const observedClass = defineClass<Observed, LinkMethods>({
  name: 'observed',
  implements: linkInterface,
  bases: [wrapperClass],
  methods: {
    start: (self, up) => self.start(up),
    transmit: (self, pkt) => self.transmit(pkt),
  },
});

/** A link that behaves as `inner` and shows its frames to whoever is in `observers` at the time. */
export function observe(inner: Link, observers: ReadonlySet<Observer>): Link {
  return bindObject(observedClass, new Observed(inner, observers));
}
