/**
 * A real path with loss: a client in a namespace of its own, whose packets another namespace forwards to the stack and drops one in a
 * hundred of, each way. Linux's TCP is the other end. (Dropping at the sender's own interface would be seen by it as congestion of
 * the host; a router in between is what the stack will meet.)
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Netns, describeNetns, hasCommand } from '../support/netns.ts';
import { peer } from './peer.ts';

const STACK = '10.0.0.2';
const CLIENT = '10.9.0.2';

const RULES = `
table inet loss {
  chain forward {
    type filter hook forward priority 0; policy accept;
    numgen random mod 1000 < 10 counter drop
  }
}
`;

describeNetns('1 % loss each way', () => {
  describe.each(['inet', 'alt'])('%s', (stack) => {
    let router: Netns;
    let client: Netns;

    beforeAll(async () => {
      hasCommand('nft');
      hasCommand('ethtool');
      router = await Netns.create();
      client = await Netns.create();
      // TAP | router | veth | client. What the host's offloads glue together is lost as one, so they are off on the veth.
      await router.boot([`--stack=${stack}`, '--service=http,echo', '--log=warn']);
      await router.must(['ip', 'link', 'add', 'c1', 'type', 'veth', 'peer', 'name', 'c0', 'netns', client.name]);
      await router.must(['ip', 'addr', 'add', '10.9.0.1/24', 'dev', 'c1']);
      await router.must(['ip', 'link', 'set', 'c1', 'up']);
      await client.must(['ip', 'addr', 'add', `${CLIENT}/24`, 'dev', 'c0']);
      await client.must(['ip', 'link', 'set', 'c0', 'up']);
      await client.must(['ip', 'route', 'add', '10.0.0.0/24', 'via', '10.9.0.1']);
      await router.must(['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
      for (const [ns, dev] of [
        [router, 'c1'],
        [client, 'c0'],
      ] as const) {
        await ns.must(['ethtool', '-K', dev, 'tso', 'off', 'gso', 'off', 'gro', 'off']);
      }
      await router.must(['nft', '-f', '-'], { input: RULES });
    });

    afterAll(async () => {
      await client?.remove();
      await router?.remove();
    });

    it('30 MB down, byte by byte', async () => {
      expect(await peer(client, 'bytes', `http://${STACK}`, 30_000_000)).toEqual({ all: 1, right: 1, lengths: [30_000_000] });
    });

    it('30 MB up, with the right digest', async () => {
      const answer = await peer(client, 'put', `http://${STACK}/sink`, 30_000_000);
      expect(JSON.parse(answer.text as string)).toEqual({ bytes: 30_000_000, sha256: answer.sent });
    });

    it('3 MB both ways at once', async () => {
      expect(await peer(client, 'tcpecho', STACK, 7, 3_000_000)).toEqual({ echoed: 3_000_000 });
    });

    it('packets were in fact dropped', async () => {
      const rules = await router.must(['nft', 'list', 'table', 'inet', 'loss']);
      expect(Number(/counter packets (\d+)/.exec(rules)?.[1])).toBeGreaterThan(100);
    });
  });
});
