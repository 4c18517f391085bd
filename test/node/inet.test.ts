import { stackModule, stackPlace } from './places.ts';
import { streamSuite } from './stream-suite.ts';

streamSuite('the inet stack', async () => stackPlace(await stackModule('inet')));
