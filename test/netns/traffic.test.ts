/**
 * Linux's own tools and stack against each of ours, through a real TAP: with and without offload, at an MTU of 1500 and of 9000. One boot
 * serves a row of the matrix.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Boot, Netns, describeNetns } from '../support/netns.ts';
import { peer } from './peer.ts';

const STACK = '10.0.0.2';
const URL = `http://${STACK}`;
const BIG = 100_000_000;

const ROWS = ['inet', 'alt'].flatMap((stack) =>
  ['on', 'off'].flatMap((offload) => [1500, 9000].map((mtu) => ({ stack, offload, mtu }))),
);

describeNetns('traffic', () => {
  describe.each(ROWS)('$stack, offload $offload, MTU $mtu', ({ stack, offload, mtu }) => {
    let ns: Netns;
    let boot: Boot;

    beforeAll(async () => {
      ns = await Netns.create();
      boot = await ns.boot([
        `--stack=${stack}`,
        `--offload=${offload}`,
        `--mtu=${mtu}`,
        '--service=http,echo,discard,chargen,hello',
        '--log=warn',
      ]);
    });

    afterAll(async () => {
      await ns?.remove();
    });

    it.each([0, 1, 56, 1472, 1473, 8000, 65507])('ping -s %i', async (size) => {
      const done = await ns.exec(['ping', '-c', '3', '-i', '0.05', '-W', '2', '-s', String(size), STACK]);
      expect(done.stdout).toContain('3 received');
      expect(done.stdout).toContain(' 0% packet loss');
      expect(done.stdout).not.toContain('wrong data');
    });

    it('curl / greets and says which stack it is', async () => {
      const done = await ns.exec(['curl', '-sS', '--max-time', '5', '-i', `${URL}/`]);
      expect(done.status).toBe(0);
      expect(done.stdout).toMatch(/^HTTP\/1\.1 200 OK/);
      expect(done.stdout).toContain(`'${stack}'`);
    });

    it(`curl /bytes/${BIG}: every byte`, async () => {
      expect(await peer(ns, 'bytes', URL, BIG)).toEqual({ all: 1, right: 1, lengths: [BIG] });
    });

    it('curl: 32 at once', async () => {
      expect(await peer(ns, 'bytes', URL, 300_000, 32)).toEqual({ all: 32, right: 32, lengths: [300_000] });
    });

    it('upload of 20 MB to /sink: length and digest come back', async () => {
      const answer = await peer(ns, 'put', `${URL}/sink`, 20_000_000);
      expect(answer).toMatchObject({ status: 200 });
      expect(JSON.parse(answer.text as string)).toEqual({ bytes: 20_000_000, sha256: answer.sent });
    });

    it('keep-alive: 200 requests on one connection', async () => {
      expect(await peer(ns, 'keepalive', `${URL}/`, 200)).toEqual({ connections: 1, statuses: [200] });
    });

    it('UDP echo of all sizes', async () => {
      const sizes = [0, 1, 100, 1472, 1473, 4000, 8000];
      expect(await peer(ns, 'udpecho', STACK, 7, ...sizes)).toEqual({ echoed: sizes });
    });

    it('TCP echo of 10 MB, byte by byte, and the end comes back (half close)', async () => {
      expect(await peer(ns, 'tcpecho', STACK, 7, 10_000_000)).toEqual({ echoed: 10_000_000 });
    });

    it('TCP discard of 10 MB: nothing but the end comes back', async () => {
      expect(await peer(ns, 'discard', STACK, 9, 10_000_000)).toEqual({ back: 0 });
    });

    it('chargen: 5 MB of the pattern', async () => {
      expect(await peer(ns, 'chargen', STACK, 19, 5_000_000)).toEqual({ matched: 5_000_000 });
    });

    it('hello: the small response', async () => {
      const done = await ns.exec(['curl', '-sS', '--max-time', '5', '-w', '%{http_code}', '-o', '/dev/null', `${URL}:8080/`]);
      expect(done.stdout).toBe('200');
    });

    it('500 connections at once', async () => {
      expect(await peer(ns, 'conns', STACK, 7, 500)).toEqual({ open: 500 });
    });

    it('a closed port refuses at once, for TCP and for UDP', async () => {
      const refused = await peer(ns, 'connect', STACK, 4444);
      expect(refused).toMatchObject({ code: 'ECONNREFUSED' });
      expect(refused.ms).toBeLessThan(1_000);
      expect(await peer(ns, 'udpto', STACK, 4444)).toEqual({ code: 'ECONNREFUSED' });
    });

    it('still answers, has not complained, and ends in order', async () => {
      expect((await ns.exec(['ping', '-c', '1', '-W', '2', STACK])).status).toBe(0);
      const done = await boot.stop();
      expect(done).toMatchObject({ status: 0, signal: null, stdout: `${boot.readyLine}\n` });
      expect(done.stderr).not.toMatch(/"level":(50|60)|Error|throw/);
    });
  });
});
