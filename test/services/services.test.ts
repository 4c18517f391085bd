import { describe, expect, it } from 'vitest';
import { formatServices, parseServices } from '../../src/services/registry.ts';
import { ANY4, sockAddr } from '../../src/wire/addr.ts';
import { netmodModule as tiny } from '../conformance/tinystack/tiny.ts';
import { SERVER_PORT, localPlace, stackPlace } from '../node/places.ts';
import { serviceSuite } from './suite.ts';

serviceSuite('the local domain', () => Promise.resolve(localPlace()), { kind: 'local', path: 'test' });
serviceSuite('the tiny stack', () => Promise.resolve(stackPlace(tiny)), sockAddr(ANY4, SERVER_PORT));

describe('the list of services', () => {
  it.each([
    ['http', 'http:80'],
    ['http,echo', 'http:80,echo:7'],
    ['hello:9000, discard,chargen', 'hello:9000,discard:9,chargen:19'],
    ['', ''],
  ])('%s means %s', (text, means) => {
    const specs = parseServices(text);
    expect('error' in specs ? specs.error : formatServices(specs)).toBe(means);
  });

  it.each([
    ['ftp', /unknown service 'ftp'; there are http, echo, discard, chargen, hello/],
    ['http:0', /port from 1 to 65535/],
    ['http:70000', /port from 1 to 65535/],
    ['http:x', /port from 1 to 65535/],
    ['http:80:81', /NAME:PORT/],
    ['http,hello:80', /http and hello cannot both have port 80/],
  ])('%s is refused', (text, why) => {
    expect(parseServices(text)).toMatchObject({ error: expect.stringMatching(why) });
  });
});
