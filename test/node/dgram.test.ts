import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type DgramSocket, type RemoteInfo, createDgram } from '../../src/node/dgram.ts';
import { inetModule } from '../../src/stacks/inet/inetmodule.ts';
import { settle, run } from '../services/world.ts';
import { type Place, localPlace, stackPlace } from './places.ts';

describe('dgram', () => {
  let place: Place;
  let open: DgramSocket[];

  beforeEach(() => {
    place = stackPlace(inetModule(null));
    open = [];
  });
  afterEach(() => {
    for (const socket of open) {
      try {
        socket.close();
      } catch {
        // Closed by its test.
      }
    }
    place.stop();
  });

  function socket(side: 'a' | 'b'): DgramSocket {
    const made = createDgram(place[side]).createSocket('udp4');
    open.push(made);
    return made;
  }

  async function bound(side: 'a' | 'b', port: number): Promise<DgramSocket> {
    const made = socket(side);
    made.bind(port);
    await settle(place, once(made, 'listening'));
    return made;
  }

  it('sends and receives messages with their senders', async () => {
    const server = await bound('b', 5000);
    expect(server.address()).toEqual({ address: '0.0.0.0', family: 'IPv4', port: 5000 });
    const client = socket('a');
    server.on('message', (msg, rinfo: RemoteInfo) => server.send(`re: ${msg}`, rinfo.port, rinfo.address));
    const answered = once(client, 'message');
    const sent = new Promise((resolve) => client.send('ping', 5000, '10.0.0.2', (err, bytes) => resolve([err, bytes])));
    expect(await settle(place, sent)).toEqual([null, 4]);
    const [msg, rinfo] = (await settle(place, answered)) as [Buffer, RemoteInfo];
    expect(String(msg)).toBe('re: ping');
    expect(rinfo).toEqual({ address: '10.0.0.2', family: 'IPv4', port: 5000, size: 8 });
    // A message has a buffer of its own, of its own size.
    expect(msg.buffer.byteLength).toBe(8);
  });

  it('takes all forms of send', async () => {
    const server = await bound('b', 5000);
    const got: string[] = [];
    server.on('message', (msg) => got.push(String(msg)));
    const client = socket('a');
    client.send(Buffer.from('buffer'), 5000, '10.0.0.2');
    client.send('text', 5000, '10.0.0.2');
    client.send(['a', Buffer.from('b'), 'c'], 5000, '10.0.0.2');
    client.send(Buffer.from('..part..'), 2, 4, 5000, '10.0.0.2');
    client.send('', 5000, '10.0.0.2');
    await run(place, 500);
    expect(got).toEqual(['buffer', 'text', 'abc', 'part', '']);
    client.connect(5000, '10.0.0.2');
    await settle(place, once(client, 'connect'));
    expect(client.remoteAddress()).toEqual({ address: '10.0.0.2', family: 'IPv4', port: 5000 });
    client.send('connected');
    client.send(Buffer.from('..part..'), 2, 4);
    await run(place, 500);
    expect(got.slice(5)).toEqual(['connected', 'part']);
    expect(() => client.send('x', 5000, '10.0.0.2')).toThrow(expect.objectContaining({ code: 'ERR_SOCKET_DGRAM_IS_CONNECTED' }));
  });

  it('carries messages of any length up to the largest', async () => {
    const server = await bound('b', 5000);
    const got: number[] = [];
    server.on('message', (msg) => got.push(msg.length));
    const client = socket('a');
    for (const n of [1, 1472, 1473, 9000]) client.send(Buffer.alloc(n), 5000, '10.0.0.2');
    await run(place, 2_000);
    expect(got).toEqual([1, 1472, 1473, 9000]);
    const err = await settle(place, new Promise((resolve) => client.send(Buffer.alloc(70_000), 5000, '10.0.0.2', resolve)));
    expect(err).toMatchObject({ code: 'EMSGSIZE', syscall: 'send', address: '10.0.0.2', port: 5000 });
  });

  it('tells of a port that nobody listens on', async () => {
    const client = socket('a');
    client.connect(5999, '10.0.0.2');
    await settle(place, once(client, 'connect'));
    const failed = once(client, 'error');
    client.send('anyone?');
    expect((await settle(place, failed))[0]).toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('reports what is wrong', async () => {
    await bound('b', 5000);
    const other = socket('b');
    other.bind(5000);
    expect((await settle(place, once(other, 'error')))[0]).toMatchObject({ code: 'EADDRINUSE', syscall: 'bind', port: 5000 });
    const nowhere = socket('a');
    nowhere.bind(0, '10.9.9.9');
    expect((await settle(place, once(nowhere, 'error')))[0]).toMatchObject({ code: 'EADDRNOTAVAIL' });
    const client = socket('a');
    expect(() => client.send('x', 0, '10.0.0.2')).toThrow(expect.objectContaining({ code: 'ERR_SOCKET_BAD_PORT' }));
    expect(() => client.send('x', 70_000, '10.0.0.2')).toThrow(expect.objectContaining({ code: 'ERR_SOCKET_BAD_PORT' }));
    const name = once(client, 'error');
    client.send('x', 5000, 'not.an.address');
    expect((await settle(place, name))[0]).toMatchObject({ code: 'EINVAL' });
    const broadcast = new Promise((resolve) => client.send('x', 5000, '10.0.0.255', resolve));
    expect(await settle(place, broadcast)).toMatchObject({ code: 'EACCES' });
    client.setBroadcast(true);
    expect(await settle(place, new Promise((resolve) => client.send('x', 5000, '10.0.0.255', resolve)))).toBe(null);
    expect(client.setTTL(7)).toBe(7);
    expect(() => client.setTTL(0)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    client.setRecvBufferSize(10_000);
    expect(client.getRecvBufferSize()).toBe(10_000);
  });

  it('closes once', async () => {
    const made = await bound('b', 5000);
    const closed = once(made, 'close');
    made.close();
    await settle(place, closed);
    expect(() => made.close()).toThrow(expect.objectContaining({ code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' }));
    expect(() => made.send('x', 1, '10.0.0.1')).toThrow(expect.objectContaining({ code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' }));
    await bound('b', 5000);
  });

  it('says EAFNOSUPPORT where there is no stack', async () => {
    const local = localPlace();
    const lonely = createDgram(local.a).createSocket('udp4');
    lonely.bind(0);
    expect((await settle(local, once(lonely, 'error')))[0]).toMatchObject({ code: 'EAFNOSUPPORT' });
    local.stop();
  });
});
