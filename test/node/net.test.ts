import { netmodModule as tiny } from '../conformance/tinystack/tiny.ts';
import { localPlace, stackPlace } from './places.ts';
import { streamSuite } from './stream-suite.ts';

streamSuite('the local domain', () => Promise.resolve(localPlace()));
streamSuite('the tiny stack', () => Promise.resolve(stackPlace(tiny)), { batches: false });
