/** The tiny stack passes what it does not leave out. */
import { controlCases } from './cases/control.ts';
import { conformance } from './suite.ts';
import { netmodModule } from './tinystack/tiny.ts';

conformance('tiny', () => netmodModule, {
  skip: {
    'udp: 9000 bytes over an MTU of 1500 arrive whole (fragments)': 'no fragments, neither way: EMSGSIZE',
    ...Object.fromEntries(controlCases.map(({ name }) => [name, 'has no options of level IPPROTO_IP, and no raw sockets'])),
    'keep-alive: an idle connection to a peer that is gone ends with ETIMEDOUT': 'has no keep-alive',
  },
});
