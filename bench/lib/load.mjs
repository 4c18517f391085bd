// @ts-check
/** Who used the processors: the target, what the bench started, or others, whose work makes a figure worthless. */
import { readFileSync, readdirSync } from 'node:fs';

/** Clock ticks of proc(5), which Linux fixes at 100 for user space. */
const HZ = 100;

/** @param {string} file @returns {string[]} the fields from the third on */
function statFields(file) {
  try {
    const text = readFileSync(file, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return [];
  }
}

/** User and system time of a process in seconds. @param {number} pid */
export function cpuOf(pid) {
  const fields = statFields(`/proc/${pid}/stat`);
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / HZ;
}

/** The bench itself and those of its children that have ended. */
function cpuOfBench() {
  const fields = statFields('/proc/self/stat');
  return [11, 12, 13, 14].reduce((sum, i) => sum + Number(fields[i] ?? 0), 0) / HZ;
}

/** Kernel threads that do the network's work on behalf of others. */
export function networkThreads() {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('ksoftirqd');
      } catch {
        return false;
      }
    });
}

/** Seconds of all processors: in processes, and with interrupts. */
export function machineCpu() {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = /** @type {string} */ (
    readFileSync('/proc/stat', 'utf8').split('\n')[0]
  )
    .split(/ +/)
    .slice(1)
    .map(Number);
  return { processes: (user + nice + system) / HZ, busy: (user + nice + system + irq + softirq) / HZ };
}

/** A stretch of time in which processors are watched. */
export class Watch {
  #pids;
  #at = performance.now();
  #machine = machineCpu();
  #target;
  #ours;

  /** @param {number} target @param {readonly number[]} threads */
  constructor(target, threads) {
    this.#pids = [target, ...threads];
    this.#target = cpuOf(target);
    this.#ours = this.#sum();
  }

  #sum() {
    return this.#pids.reduce((sum, pid) => sum + cpuOf(pid), cpuOfBench());
  }

  /** Since the beginning, in seconds; `foreign` is the share of a processor that others took. */
  read() {
    const seconds = (performance.now() - this.#at) / 1000;
    const machine = machineCpu();
    const processes = machine.processes - this.#machine.processes;
    return {
      targetS: cpuOf(/** @type {number} */ (this.#pids[0])) - this.#target,
      busyS: machine.busy - this.#machine.busy,
      foreign: Math.max(0, processes - (this.#sum() - this.#ours)) / seconds,
    };
  }
}
