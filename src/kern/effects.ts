/**
 * Contract: everything the kernel takes from outside. `effects/real.ts` is the one file that touches the host's clock, timers and
 * randomness; `effects/sim.ts` is its twin in virtual time. With the same seed and the same inputs a run is the same run.
 */

/** Two clocks. Milliseconds, with fractions where the source has them. */
export interface Clock {
  /** Monotonic, from an arbitrary origin. */
  monotonicMs(): number;
  /** Since the Unix epoch, UTC. */
  realtimeMs(): number;
}

/** The single host timer that drives the callout wheel: arming it again replaces the earlier deadline. */
export interface HostTimer {
  arm(delayMs: number, fire: () => void): void;
  disarm(): void;
}

/** A source of random numbers good enough for sequence numbers and ports. */
export interface RandomSource {
  /** Uniform in [0, 2^32). */
  u32(): number;
  fill(bytes: Uint8Array): void;
}

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error';

/** Structured log: `fields` first as pino has it. */
export interface Log {
  enabled(level: LogLevel): boolean;
  trace(fields: object, msg: string): void;
  debug(fields: object, msg: string): void;
  info(fields: object, msg: string): void;
  warn(fields: object, msg: string): void;
  error(fields: object, msg: string): void;
  /** The log of a subsystem: its own level, and its name on each line. */
  child(subsystem: string): Log;
}

export interface Effects {
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly log: Log;
  newTimer(): HostTimer;
  /** Runs `work` after the present call has returned to the host, before any later event (a microtask, or its simulated twin). */
  defer(work: () => void): void;
  /** Runs `work` in a later turn of the host's event loop, so that its other events get their turn first. */
  yield(work: () => void): void;
}
