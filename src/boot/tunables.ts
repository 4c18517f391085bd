/** Tunables and sysctls of a boot: the kernel's environment before it starts, and the check afterwards that each was understood. */
import { isErrno } from '../kern/errno.ts';
import { LOG_LEVELS, isThreshold } from '../kern/logspec.ts';
import type { RealEffects } from '../kern/effects/real.ts';
import type { Kernel } from '../kern/kernel.ts';
import { BootFailure, didYouMean } from './failure.ts';
import type { BootOptions } from './options.ts';

/**
 * What a boot has by default where a kernel in a test has less, by stack: it serves a real network. Memory that is reserved and not used
 * costs a process nothing.
 */
const BOOT_DEFAULTS: Readonly<Record<string, Readonly<Record<string, string>>>> = { alt: { 'net.alt.flows': '131072' } };

/** The environment a kernel starts with. */
export function bootEnv({ stack, tunables }: BootOptions): Record<string, string> {
  return { ...BOOT_DEFAULTS[stack], ...Object.fromEntries([...tunables].map(([name, { value }]) => [name, value])) };
}

/**
 * After the start: what was a tunable has been read; what is a sysctl is written now. A name that is neither, or a value that was
 * refused, ends the boot.
 */
export function applyTunables(kernel: Kernel, { tunables }: BootOptions): void {
  const { sysctl } = kernel;
  const [bad] = sysctl.badTunables;
  if (bad !== undefined) throw new BootFailure(2, bad);
  for (const [name, { value, where }] of tunables) {
    if (sysctl.isTuned(name)) continue;
    const old = sysctl.write(name, value);
    if (!isErrno(old)) continue;
    if (old === 'ENOENT' || old === 'ENOTDIR' || old === 'EISDIR') {
      const names = sysctl.walk().map((reading) => reading.name);
      throw new BootFailure(2, `${where}: unknown tunable or sysctl ${name}${didYouMean(name, names)}`);
    }
    if (old === 'EPERM') throw new BootFailure(2, `${where}: ${name} can only be read`);
    const leaf = sysctl.read(name);
    throw new BootFailure(2, `${where}: ${name}=${value} is refused (${old}); it is: ${isErrno(leaf) ? name : leaf.descr}`);
  }
}

/** `kern.log`: the levels of the log, changeable while running; and `kern.log.<subsystem>` for each that there is, when it is. */
export function addLogSysctl(kernel: Kernel, effects: RealEffects): void {
  kernel.sysctl.add({
    name: 'kern.log',
    node: true,
    descr: 'Levels of the log: LEVEL, or SUBSYS=LEVEL, separated by commas',
    flags: 'rw',
    type: 'string',
    get: () => effects.logLevels.describe(),
    set: (spec) => (effects.setLog(spec) === null ? null : 'EINVAL'),
  });
  const { logLevels } = effects;
  const addLeaf = (name: string): void => {
    kernel.sysctl.add({
      name: `kern.log.${name}`,
      node: true,
      descr: `Level of the log of ${name}: ${LOG_LEVELS.join(' ')}, or empty for that of its parent`,
      flags: 'rw',
      type: 'string',
      get: () => logLevels.levelOf(name) ?? '',
      set: (level) => {
        if (level !== '' && !isThreshold(level)) return 'EINVAL';
        logLevels.setLevel(name, level === '' ? null : level);
        return null;
      },
    });
  };
  for (const name of logLevels.names()) addLeaf(name);
  logLevels.onName = addLeaf;
}
