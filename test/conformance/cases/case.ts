/** A conformance case: what it is called, how its world differs from the usual one, and what it does. */
import type { World, WorldOptions } from '../world.ts';

export interface Case {
  readonly name: string;
  readonly world?: WorldOptions;
  run(w: World): void | Promise<void>;
}
