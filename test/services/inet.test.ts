import { ANY4, sockAddr } from '../../src/wire/addr.ts';
import { SERVER_PORT, stackModule, stackPlace } from '../node/places.ts';
import { serviceSuite } from './suite.ts';

serviceSuite('the inet stack', async () => stackPlace(await stackModule('inet')), sockAddr(ANY4, SERVER_PORT));
