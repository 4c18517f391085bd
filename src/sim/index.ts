/**
 * `netmod/sim`: networks in virtual time, to test programs against loss, delay, reordering and partitions without a privilege or a
 * device. `docs/guides/simulator.md` tells how.
 */
export { simulate, type Scenario, type SimulateEnv, type SimulateOptions } from './simulate.ts';
export { Simulation, type LinkOptions, type NetworkOptions, type SimulationOptions } from './simulation.ts';
export { SimHost, type HostOptions } from './host.ts';
export { Cable, type CableOptions, type Conditions } from './cable.ts';
export { Network, type JoinOptions } from './network.ts';
export { Capture } from './capture.ts';
export { SimulationStuck } from './drive.ts';
export { VirtualTimer } from './timers.ts';
export { netmodModule as inet } from '../stacks/inet/module.ts';
export { netmodModule as alt } from '../stacks/alt/module.ts';
