import { ANY4, sockAddr } from '../../src/wire/addr.ts';
import { SERVER_PORT, stackModule, stackPlace } from '../node/places.ts';
import { serviceSuite } from './suite.ts';

serviceSuite('the alt stack', async () => stackPlace(await stackModule('alt')), sockAddr(ANY4, SERVER_PORT));
