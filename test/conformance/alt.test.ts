/** The flow stack. */
import { netmodModule } from '../../src/stacks/alt/module.ts';
import { conformance } from './suite.ts';

conformance('alt', () => netmodModule);
