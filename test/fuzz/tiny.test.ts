/** The tiny stack under fire. */
import { netmodModule } from '../conformance/tinystack/tiny.ts';
import { fuzz, sum } from './suite.ts';

fuzz('tiny', () => netmodModule, {
  balance: ({ tiny }, frames) => [['ethernet', frames, sum(tiny, 'ipin', 'arpin', 'notype')]],
});
