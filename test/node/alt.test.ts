import { stackModule, stackPlace } from './places.ts';
import { streamSuite } from './stream-suite.ts';

streamSuite('the alt stack', async () => stackPlace(await stackModule('alt')));
