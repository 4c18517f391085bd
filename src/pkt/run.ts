/**
 * Runs a script against a stack in virtual time: packets and calls at the times it says, and each packet of the stack compared with what
 * it expects next. A packet that nothing expects is a failure too: at the next `>`, or at the end of the script if it was sent before
 * the last event. So a script that ends with `sleep 1` says that nothing comes for a second.
 */
import { isErrno } from '../kern/errno.ts';
import { IPPROTO_TCP } from '../wire/ipv4.ts';
import type { ModuleSpec } from '../kern/module.ts';
import { Args } from './args.ts';
import { type Info, runAssertions } from './assert.ts';
import type { CallSpec, Event, PacketSpec, Script, TcpSpec } from './ast.ts';
import { type CallContext, type Outcome, checkCall, makeCall } from './calls.ts';
import { compare } from './compare.ts';
import { TCP_INFO, errnoName } from './constants.ts';
import { Flows } from './flow.ts';
import type { LivePacket, LiveTcp } from './frame.ts';
import { Host, type Sent } from './host.ts';
import { parseScript } from './parse.ts';
import { printPacket, printTime } from './print.ts';
import { type Settings, readSettings } from './settings.ts';
import { Source } from './source.ts';
import { runCommand } from './sysctl.ts';

export interface RunOptions {
  readonly stack: ModuleSpec;
  /** The stack's name, for `skip` comments. */
  readonly stackName: string;
  readonly seed?: number;
  /**
   * What the stack's first initial sequence number shall be. It counts a clock of 4 µs (RFC 6528), so the script is run once to learn
   * the number, and again with the clock moved. A stack whose numbers do otherwise gets a warning.
   */
  readonly iss?: number;
  /** Added to the script's own sequence numbers on the wire. Default 0. */
  readonly irs?: number;
  /** Tunables of the stack's kernel. */
  readonly env?: Readonly<Record<string, string>>;
}

export type RunResult =
  | { readonly kind: 'passed'; readonly warnings: readonly string[] }
  | { readonly kind: 'skipped'; readonly reason: string }
  | { readonly kind: 'failed'; readonly message: string; readonly warnings: readonly string[] };

/** A packet that may come at any time is waited for so long. */
const ANY_MS = 3_600_000;
/** Bytes of headers in front of a payload, at least. */
const HEADERS = 40;
/** Initial sequence numbers that go by in a millisecond. */
const ISS_PER_MS = 250;

/** Throws `ScriptError` for what cannot be read, or is not part of the language here. */
export async function runScript(file: string, text: string, options: RunOptions): Promise<RunResult> {
  const src = new Source(file, text);
  const script = parseScript(src);
  const reason = script.skips.get(options.stackName);
  if (reason !== undefined) return { kind: 'skipped', reason };
  const warnings: string[] = [];
  const settings = readSettings(src, script.options, warnings);
  if (options.seed !== undefined) settings.seed = options.seed;
  for (const { at, action } of script.events) if (action.kind === 'call') checkCall(new Args(src, action.call), at);
  const once = async (startMs: number, learn: boolean): Promise<{ message: string | null; iss: number | null }> => {
    const runner = new Runner(src, script, settings, options, startMs);
    try {
      const message = await runner.run(learn);
      return { message, iss: runner.flows.firstIss };
    } finally {
      runner.host.close();
    }
  };
  let { message, iss } = await once(0, options.iss !== undefined);
  if (options.iss !== undefined && iss !== null && message === null) {
    // In the middle of a count, so that no rounding decides.
    ({ message, iss } = await once((((options.iss - iss) >>> 0) + 0.5) / ISS_PER_MS, false));
    if (iss !== options.iss >>> 0) warnings.push(`${file}: the first sequence number is ${iss}, not ${options.iss}`);
  }
  return message === null ? { kind: 'passed', warnings } : { kind: 'failed', message, warnings };
}

/** A call that takes time. */
interface Pending {
  readonly event: Event;
  readonly call: CallSpec;
  readonly endMs: number;
  outcome: Outcome | null;
  doneMs: number;
  error: unknown;
}

class Runner {
  readonly host: Host;
  readonly #src: Source;
  readonly #script: Script;
  readonly #settings: Settings;
  readonly flows: Flows;
  readonly #calls: CallContext;
  #pending: Pending[] = [];
  /** When the event before took place, in the script's time. */
  #lastMs = 0;

  constructor(src: Source, script: Script, settings: Settings, { stack, irs = 0, env = {} }: RunOptions, startMs: number) {
    this.#src = src;
    this.#script = script;
    this.#settings = settings;
    this.host = new Host({ stack, startMs, env, ...settings });
    this.flows = new Flows(settings, this.host.addrs, irs);
    this.#calls = { host: this.host, flows: this.flows, settings, fds: new Map(), last: null };
  }

  /** What went wrong; null if nothing did. `learn`: only until the first initial sequence number is known. */
  async run(learn: boolean): Promise<string | null> {
    let lastStart = 0;
    for (const event of this.#script.events) {
      if (learn && this.flows.firstIss !== null) return null;
      const startMs = event.when.kind === 'abs' ? event.when.ms : this.#lastMs + event.when.ms;
      const late = startMs < this.host.nowMs() - this.#settings.toleranceMs && event.when.kind === 'abs';
      if (late) return this.#failure(event, `at ${printTime(startMs)}`, `it is ${printTime(this.host.nowMs())} already`);
      const message = await this.#event(event, startMs);
      if (message !== null) return message;
      lastStart = this.#lastMs;
    }
    return (await this.#finish()) ?? this.#leftOver(lastStart);
  }

  async #event(event: Event, startMs: number): Promise<string | null> {
    const { action, when } = event;
    if (action.kind === 'packet' && action.packet.dir === 'out') return this.#expect(event, action.packet, startMs);
    await this.host.advance(startMs);
    this.#lastMs = startMs;
    const overdue = this.#checkPending(false);
    if (overdue !== null) return overdue;
    switch (action.kind) {
      case 'packet':
        this.host.inject(this.flows.toWire(action.packet));
        break;
      case 'call':
        return this.#call(event, action.call, action.call.endMs === null ? null : startMs + action.call.endMs - when.ms);
      case 'command': {
        const { sleepMs, refused } = runCommand(this.host.kernel, action.text);
        if (refused !== null) this.#src.fail(refused, event.at);
        await this.host.advance(startMs + sleepMs);
        this.#lastMs = startMs + sleepMs;
        break;
      }
      case 'code': {
        const { failed, refused } = runAssertions(action.text, this.#info());
        if (refused !== null) this.#src.fail(refused, event.at);
        if (failed !== null) return this.#failure(event, action.text.trim(), `it does not hold: ${failed}`);
        break;
      }
    }
    await this.host.settle();
    return null;
  }

  #info(): Info | null {
    const fd = this.#calls.last === null ? undefined : this.#calls.fds.get(this.#calls.last)?.fd;
    const got = fd === undefined ? 'EBADF' : this.host.proc.getsockopt(fd, IPPROTO_TCP, TCP_INFO);
    return isErrno(got) ? null : (got.value as Info);
  }

  async #call(event: Event, call: CallSpec, endMs: number | null): Promise<string | null> {
    const result = makeCall(this.#calls, new Args(this.#src, call));
    const pending: Pending = { event, call, endMs: endMs ?? this.host.nowMs(), outcome: null, doneMs: 0, error: null };
    const take = (outcome: Outcome): void => {
      pending.outcome = outcome;
      pending.doneMs = this.host.nowMs();
    };
    if (result instanceof Promise) result.then(take, (error: unknown) => (pending.error = error));
    else take(result);
    await this.host.settle();
    this.#pending.push(pending);
    if (endMs !== null) return this.#checkPending(false);
    if (pending.outcome === null && pending.error === null) return this.#failure(event, this.#says(call), 'the call blocks');
    return this.#checkPending(false);
  }

  /** Looks at the calls that have ended; with `all`, those that should have are failures. */
  #checkPending(all: boolean): string | null {
    const open: Pending[] = [];
    for (const pending of this.#pending) {
      const { event, call, outcome, endMs, doneMs, error } = pending;
      if (error !== null) throw error;
      const tolerance = this.#settings.toleranceMs;
      if (outcome === null) {
        if (all || this.host.nowMs() > endMs + tolerance) {
          return this.#failure(
            event,
            `${this.#says(call)} at ${printTime(endMs)}`,
            `the call still blocks at ${printTime(this.host.nowMs())}`,
          );
        }
        open.push(pending);
        continue;
      }
      const wrong = this.#wrong(call, outcome);
      if (wrong !== null) return this.#failure(event, this.#says(call), wrong);
      if (Math.abs(doneMs - endMs) > tolerance) {
        return this.#failure(event, `the call ends at ${printTime(endMs)}`, `it ended at ${printTime(doneMs)}`);
      }
    }
    this.#pending = open;
    return null;
  }

  #says(call: CallSpec): string {
    const { expr } = call.result;
    const value = expr.kind === 'number' ? String(expr.value) : expr.kind === 'words' ? expr.words.join('|') : '...';
    return `${call.name} answers ${value}${call.errno === null ? '' : ` ${call.errno}`}`;
  }

  #wrong(call: CallSpec, { ret, wrong }: Outcome): string | null {
    if (call.result.expr.kind === 'any') return wrong;
    const wanted = new Args(this.#src, call).number(call.result, 'the result');
    const came = isErrno(ret) ? `-1 ${ret}` : String(ret);
    if (wanted === -1) {
      const name =
        call.errno === null ? null : (errnoName(call.errno) ?? this.#src.fail(`unknown error ${call.errno}`, call.result.at));
      return isErrno(ret) && (name === null || name === ret) ? null : `it answered ${came}`;
    }
    return ret === wanted ? wrong : `it answered ${came}`;
  }

  /** Waits for the next packet of the stack and compares it. */
  async #expect(event: Event, spec: PacketSpec, startMs: number): Promise<string | null> {
    const { when } = event;
    const tolerance = this.#settings.toleranceMs;
    const fromMs = when.kind === 'any' ? 0 : startMs;
    const rangeMs = (when.endMs ?? when.ms) - when.ms;
    const untilMs = when.kind === 'any' ? this.host.nowMs() + ANY_MS : startMs + rangeMs;
    const sent = this.host.sent;
    await this.host.advance(untilMs + tolerance, () => sent.length > 0);
    const wanted = `${when.kind === 'any' ? '*' : this.#time(fromMs, untilMs)} ${event.text}`;
    const overdue = this.#checkPending(false);
    if (overdue !== null) return overdue;
    const got = sent.shift();
    if (got === undefined) return this.#failure(event, wanted, `nothing came until ${printTime(this.host.nowMs())}`);
    if (typeof got.packet === 'string') return this.#failure(event, wanted, got.packet);
    const packet = await this.#whole(spec, got.packet, untilMs + tolerance);
    const flow = this.flows.of(spec);
    const { body } = packet;
    const ports = body.proto === 'icmp' || (body.sport === flow.local && body.dport === flow.remote);
    if (ports && spec.body.proto === 'tcp' && body.proto === 'tcp') this.flows.learn(spec.body, body, flow);
    const shown = this.flows.toScript(packet, flow);
    const differs =
      (ports ? null : `the ports are ${portsOf(packet)}, not ${flow.local} > ${flow.remote}`) ??
      compare(spec, packet, shown, this.#settings.tickMs) ??
      (body.proto === 'tcp' ? this.flows.checkBytes(body, flow) : null);
    const came = `${printTime(got.ms)} > ${printPacket(shown)}`;
    if (differs !== null) return this.#failure(event, wanted, came, differs);
    if (got.ms < fromMs - tolerance || got.ms > untilMs + tolerance) {
      return this.#failure(
        event,
        wanted,
        came,
        `it came ${printTime(got.ms)}, which is ${got.ms < fromMs ? 'too early' : 'too late'}`,
      );
    }
    this.#lastMs = when.kind === 'any' ? got.ms : Math.max(fromMs, Math.min(got.ms, untilMs));
    return null;
  }

  /** A script for a host whose card cuts segments expects large ones: it is answered by those that make it up. */
  async #whole(spec: PacketSpec, first: LivePacket, untilMs: number): Promise<LivePacket> {
    const { body } = first;
    const { mtu, strictSegments } = this.#settings;
    if (strictSegments || spec.body.proto !== 'tcp' || body.proto !== 'tcp' || spec.body.len <= mtu - HEADERS) return first;
    let whole: LiveTcp = body;
    while (whole.payload.length < spec.body.len) {
      await this.host.advance(untilMs, () => this.host.sent.length > 0);
      const next = this.host.sent[0];
      const more = next === undefined ? null : following(whole, next, spec.body);
      if (more === null) break;
      this.host.sent.shift();
      whole = more;
    }
    return { ...first, body: whole };
  }

  #time(fromMs: number, untilMs: number): string {
    return fromMs === untilMs ? printTime(fromMs) : `${printTime(fromMs)}~${printTime(untilMs)}`;
  }

  async #finish(): Promise<string | null> {
    for (const { endMs } of [...this.#pending]) await this.host.advance(endMs + this.#settings.toleranceMs);
    return this.#checkPending(true);
  }

  #leftOver(lastMs: number): string | null {
    const got = this.host.sent.find(({ ms }) => ms < lastMs);
    const event = this.#script.events.at(-1);
    if (got === undefined || event === undefined) return null;
    if (typeof got.packet === 'string') return this.#failure(event, 'nothing more', got.packet);
    const { body } = got.packet;
    const ports: readonly [number, number] | null = body.proto === 'icmp' ? null : [body.sport, body.dport];
    const none = { ecn: null, tos: null, ttl: null };
    const like = body.proto === 'tcp' ? NO_TCP : body.proto === 'udp' ? ({ proto: 'udp', len: 0 } as const) : null;
    const flow = this.flows.of({ dir: 'out', ip: none, ports, body: like ?? NO_TCP });
    return this.#failure(event, 'nothing more', `${printTime(got.ms)} > ${printPacket(this.flows.toScript(got.packet, flow))}`);
  }

  #failure(event: Event, expected: string, came: string, why: string | null = null): string {
    const lines = [`${this.#src.place(event.at)}: ${why ?? 'not as expected'}`, `  expected  ${expected}`, `  came      ${came}`];
    return lines.join('\n');
  }
}

const NO_TCP: TcpSpec = {
  proto: 'tcp',
  flags: 0,
  maybe: 0,
  seq: 0,
  len: 0,
  ack: null,
  win: null,
  urg: null,
  options: null,
  more: true,
};

function portsOf({ body }: LivePacket): string {
  return body.proto === 'icmp' ? 'none' : `${body.sport} > ${body.dport}`;
}

/** Both in one, if `next` goes on where `whole` ends and what the script expects is not over. */
function following(whole: LiveTcp, next: Sent, spec: TcpSpec): LiveTcp | null {
  if (typeof next.packet === 'string' || next.packet.body.proto !== 'tcp') return null;
  const { body } = next.packet;
  const end = (whole.seq + whole.payload.length) >>> 0;
  const len = whole.payload.length + body.payload.length;
  if (body.seq !== end || body.sport !== whole.sport || body.dport !== whole.dport || body.payload.length === 0 || len > spec.len)
    return null;
  const payload = new Uint8Array(len);
  payload.set(whole.payload);
  payload.set(body.payload, whole.payload.length);
  return { ...body, seq: whole.seq, payload };
}
