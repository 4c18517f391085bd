/** `events`: what happens in the kernel, as it happens (route(8)'s monitor, and the probes of `kern/diag.ts`). */
import type { DiagChannel } from '../kern/diag.ts';
import type { Ifnet } from '../kern/ifnet/ifnet.ts';
import type { Kernel } from '../kern/kernel.ts';
import type { Proc } from '../kern/proc/proc.ts';
import { type Undo, UndoList } from '../kern/undo.ts';
import { BadArgument, ioctlAnswer, sockAddrAnswer, textArg } from './args.ts';
import type { RunningStream, StreamSink } from './stream.ts';
import type { SockAddr } from '../kern/socket/protosw.ts';

type Emit = (fields: object) => void;

const ofProbe =
  (name: 'connect' | 'accept' | 'state' | 'drop' | 'load') =>
  ({ diag }: Kernel, emit: Emit): Undo =>
    (diag[name] as { subscribe(fn: (report: object) => void): Undo }).subscribe((report) => emit(reportAnswer(report)));

const ofInterface =
  (name: 'ifnet_arrival_event' | 'ifnet_departure_event' | 'ifaddr_event') =>
  ({ events }: Kernel, emit: Emit): Undo =>
    events.on(name, (ifp: Ifnet) => emit({ if: ifp.name() }));

const ofState =
  (name: 'ifnet_link_event' | 'ifnet_event') =>
  ({ events }: Kernel, emit: Emit): Undo =>
    events.on(name, (ifp: Ifnet, state: 'up' | 'down') => emit({ if: ifp.name(), state }));

const SOURCES: Readonly<Record<string, (kernel: Kernel, emit: Emit) => Undo>> = {
  connect: ofProbe('connect'),
  accept: ofProbe('accept'),
  state: ofProbe('state'),
  drop: ofProbe('drop'),
  load: ofProbe('load'),
  route: ({ events }, emit) => events.on('rtentry_event', (action, route) => emit({ action, ...(ioctlAnswer(route) as object) })),
  addr: ofInterface('ifaddr_event'),
  link: ofState('ifnet_link_event'),
  ifup: ofState('ifnet_event'),
  arrival: ofInterface('ifnet_arrival_event'),
  departure: ofInterface('ifnet_departure_event'),
};

/** A probe's report with its addresses as text. Also what a channel of diagnostics_channel is given. */
export function reportAnswer(report: object): object {
  const fields = Object.entries(report).map(([key, value]): [string, unknown] =>
    (key === 'local' || key === 'remote') && value !== null ? [key, sockAddrAnswer(value as SockAddr)] : [key, value],
  );
  return Object.fromEntries(fields);
}

function namesOf(options: unknown): string[] {
  const { names } = (options ?? {}) as { names?: unknown };
  if (names === undefined) return Object.keys(SOURCES);
  if (!Array.isArray(names)) throw new BadArgument('names is a list');
  const chosen = names.map((name) => {
    const text = textArg(name, 'a name');
    if (Object.hasOwn(SOURCES, text)) return text;
    throw new BadArgument(`there is no event ${JSON.stringify(text)}; there are ${Object.keys(SOURCES).join(' ')}`);
  });
  // Each once: a line has room for a hundred thousand names.
  return [...new Set(chosen)];
}

export function startEvents(proc: Proc, [options]: readonly unknown[], sink: StreamSink): RunningStream {
  const { kernel } = proc;
  const names = namesOf(options);
  const undos = new UndoList();
  let sent = 0;
  let lost = 0;
  for (const event of names) {
    const emit: Emit = (fields) => {
      if (sink.item({ event, timeMs: kernel.clock.realtimeMs(), ...fields })) sent++;
      else lost++;
    };
    undos.own((SOURCES[event] as (kernel: Kernel, emit: Emit) => Undo)(kernel, emit));
  }
  return {
    stop: (reason) => {
      undos.run();
      return { events: sent, lost, reason };
    },
  };
}

/** Joins the kernel's probes to channels outside, `make('netmod:connect')` and so on; the undo parts them again. */
export function joinProbes({ diag }: Kernel, make: (name: string) => DiagChannel): Undo {
  const probes = [diag.connect, diag.accept, diag.state, diag.drop, diag.load] as const;
  const names = ['connect', 'accept', 'state', 'drop', 'load'] as const;
  probes.forEach((probe, i) => {
    const outer = make(`netmod:${names[i]}`);
    probe.join({
      get hasSubscribers() {
        return outer.hasSubscribers;
      },
      publish: (report) => outer.publish(reportAnswer(report as object)),
    });
  });
  return () => {
    for (const probe of probes) probe.join(null);
  };
}
