/** Bad wires for conformance worlds. */
import { type ImpairConfig, impair } from '../../src/driver/impair.ts';
import type { WorldOptions } from './world.ts';

/** These faults in each direction. */
export function impaired(config: Partial<ImpairConfig>): NonNullable<WorldOptions['wrap']> {
  return (sim, [a, b]) => [
    impair(a, sim.effects('wire-a'), { tx: config }).link,
    impair(b, sim.effects('wire-b'), { tx: config }).link,
  ];
}
