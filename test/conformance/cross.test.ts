/** The stacks against each other: what one of them misunderstands in both directions shows here. */
import { netmodModule as alt } from '../../src/stacks/alt/module.ts';
import { netmodModule as inet } from '../../src/stacks/inet/module.ts';
import { conformance } from './suite.ts';
import { netmodModule as tiny } from './tinystack/tiny.ts';

const FRAGMENTS = { 'udp: 9000 bytes over an MTU of 1500 arrive whole (fragments)': 'one end has no fragments' };
const TALK = ['connect', 'stream', 'close', 'udp'];

conformance('inet → alt', () => inet, { peer: () => alt });
conformance('alt → inet', () => alt, { peer: () => inet });
conformance('inet → tiny', () => inet, { peer: () => tiny, skip: FRAGMENTS, groups: TALK });
conformance('tiny → inet', () => tiny, { peer: () => inet, skip: FRAGMENTS, groups: TALK });
conformance('alt → tiny', () => alt, { peer: () => tiny, skip: FRAGMENTS, groups: TALK });
conformance('tiny → alt', () => tiny, { peer: () => alt, skip: FRAGMENTS, groups: TALK });
