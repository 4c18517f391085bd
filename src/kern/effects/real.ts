/**
 * Effects of a real run: the host's clock, timers, randomness, event loop, and a structured log on standard error. The one file of
 * the kernel that touches them. `sim.ts` is its twin.
 */
import { randomFillSync } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { type DestinationStream, type Logger, destination, pino } from 'pino';
import type { Clock, Effects, HostTimer, Log, LogLevel, RandomSource } from '../effects.ts';
import { LeveledLog, LogLevels, type LogThreshold, parseLogSpec } from '../logspec.ts';

/** Longest delay that the host's timers take, in milliseconds. */
const MAX_DELAY_MS = 0x7fffffff;
/** Difference between the two clocks that is rounding and drift, and no step of the system's time. */
const CLOCK_STEP_MS = 20;
/** Bytes of randomness fetched at a time. */
const POOL_BYTES = 4096;

export interface RealOptions {
  /** `info`, or `SUBSYS=LEVEL,...` (logspec.ts). Default `info`. */
  readonly log?: string;
  /** Name of the kernel on each line of the log; none by default. */
  readonly name?: string;
  /** Where the log goes; standard error by default, because standard output carries the ready line. */
  readonly logTo?: DestinationStream;
}

export interface RealEffects extends Effects {
  readonly logLevels: LogLevels;
  /** Changes levels while running; on a mistake a sentence that says what is accepted. */
  setLog(spec: string): string | null;
}

class RealTimer implements HostTimer {
  #timeout: NodeJS.Timeout | null = null;

  /** Does not keep the process alive: an open device does, a retransmission does not. */
  arm(delayMs: number, fire: () => void): void {
    if (this.#timeout !== null) clearTimeout(this.#timeout);
    const delay = Math.min(MAX_DELAY_MS, Math.max(0, Math.ceil(delayMs)));
    this.#timeout = setTimeout(() => {
      this.#timeout = null;
      fire();
    }, delay).unref();
  }

  disarm(): void {
    if (this.#timeout !== null) clearTimeout(this.#timeout);
    this.#timeout = null;
  }
}

/** The time of day with the monotonic clock's resolution. Where somebody sets the clock, it follows. */
class WallClock {
  #offsetMs = performance.timeOrigin;

  nowMs(): number {
    const fine = this.#offsetMs + performance.now();
    const coarse = Date.now();
    if (Math.abs(fine - coarse) <= CLOCK_STEP_MS) return fine;
    this.#offsetMs += coarse - fine;
    return coarse;
  }
}

/** The operating system's generator, read a page at a time. Bytes that were handed out are wiped. */
class CryptoRandom implements RandomSource {
  readonly #pool = new Uint8Array(POOL_BYTES);
  readonly #words = new Uint32Array(this.#pool.buffer);
  #next = this.#words.length;

  u32(): number {
    if (this.#next === this.#words.length) {
      randomFillSync(this.#pool);
      this.#next = 0;
    }
    const word = this.#words[this.#next] as number;
    this.#words[this.#next++] = 0;
    return word;
  }

  fill(bytes: Uint8Array): void {
    randomFillSync(bytes);
  }
}

class PinoLog extends LeveledLog implements Log {
  readonly #pino: Logger;

  constructor(subsystem: string, levels: LogLevels, logger: Logger) {
    super(subsystem, levels);
    this.#pino = logger;
  }

  override write(level: LogLevel, fields: object, msg: string): void {
    this.#pino[level](fields, msg);
  }

  child(subsystem: string): Log {
    const name = this.childName(subsystem);
    return new PinoLog(name, this.levels, this.#pino.child({ subsys: name }));
  }
}

/** Real effects. Throws for a log specification that cannot be read: the loader checks it first with `parseLogSpec`. */
export function realEffects(options: RealOptions = {}): RealEffects {
  const logLevels = new LogLevels('info' satisfies LogThreshold);
  const setLog = (text: string): string | null => {
    const spec = parseLogSpec(text);
    if ('error' in spec) return spec.error;
    logLevels.apply(spec);
    return null;
  };
  const mistake = setLog(options.log ?? 'info');
  if (mistake !== null) throw new TypeError(mistake);
  // Written at once: a line that explains an exit must not be lost in it.
  const out = options.logTo ?? destination({ dest: 2, sync: true });
  const logger = pino({ level: 'trace', base: options.name === undefined ? null : { kernel: options.name } }, out);
  const wall = new WallClock();
  const clock: Clock = { monotonicMs: () => performance.now(), realtimeMs: () => wall.nowMs() };
  return {
    clock,
    random: new CryptoRandom(),
    log: new PinoLog('', logLevels, logger),
    logLevels,
    setLog,
    newTimer: () => new RealTimer(),
    defer: (work) => queueMicrotask(work),
    yield: (work) => void setImmediate(work),
  };
}
