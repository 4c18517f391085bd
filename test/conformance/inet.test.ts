/** The full stack. */
import { netmodModule } from '../../src/stacks/inet/module.ts';
import { conformance } from './suite.ts';

conformance('inet', () => netmodModule);
