import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type ControlServer, startControl } from '../../src/control/server.ts';
import { LINE_MAX } from '../../src/control/limits.ts';
import { realEffects } from '../../src/kern/effects/real.ts';
import { Kernel } from '../../src/kern/kernel.ts';

interface Answer {
  id: number | string | null;
  ret?: unknown;
  errno?: string;
  message?: string;
}

/** A client: calls by name, answers by id. */
class Client {
  readonly socket: net.Socket;
  readonly greeting: Promise<{ netmod: number; stack: string; calls: string[] }>;
  readonly closed: Promise<void>;
  /** What came without a known id. */
  readonly stray: Answer[] = [];
  /** All that came behind the greeting. */
  readonly lines: Answer[] = [];
  #greet!: (line: never) => void;
  #serial = 1;
  #rest = '';
  #greeted = false;
  readonly #waiting = new Map<number | string, (answer: Answer) => void>();

  constructor(file: string) {
    this.socket = net.connect(file);
    this.socket.on('error', () => undefined);
    this.greeting = new Promise((resolve) => (this.#greet = resolve));
    this.closed = new Promise((resolve) => this.socket.once('close', () => resolve()));
    this.socket.on('data', (chunk) => this.#input(String(chunk)));
  }

  #input(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      const answer = JSON.parse(line) as Answer;
      if (!this.#greeted) {
        this.#greeted = true;
        this.#greet(answer as never);
        continue;
      }
      this.lines.push(answer);
      const waiting = answer.id === null ? undefined : this.#waiting.get(answer.id);
      if (waiting === undefined) this.stray.push(answer);
      else waiting(answer);
    }
  }

  call(name: string, ...args: unknown[]): Promise<Answer> {
    const id = this.#serial++;
    this.socket.write(`${JSON.stringify({ id, call: name, args })}\n`);
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  async ret(name: string, ...args: unknown[]): Promise<unknown> {
    const answer = await this.call(name, ...args);
    if (answer.errno !== undefined) throw new Error(`${name}: ${answer.errno} ${answer.message}`);
    return answer.ret;
  }

  async errno(name: string, ...args: unknown[]): Promise<string | undefined> {
    return (await this.call(name, ...args)).errno;
  }
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

describe('the control socket', () => {
  let dir: string;
  let file: string;
  let kernel: Kernel;
  let control: ControlServer;
  let clients: Client[];

  beforeEach(async () => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'netmod-ctl-'));
    file = path.join(dir, 'sub', 'ctl.sock');
    kernel = new Kernel(realEffects({ log: 'silent' }));
    expect(kernel.boot()).toBe(null);
    control = await startControl(kernel, file);
    clients = [];
  });
  afterEach(async () => {
    for (const client of clients) client.socket.destroy();
    await control.close();
    kernel.shutdown();
    fs.rmSync(dir, { recursive: true });
  });

  function connect(): Client {
    const client = new Client(file);
    clients.push(client);
    return client;
  }

  /** Sockets that exist in the kernel. */
  const openSockets = (): number => {
    const { created, closed } = kernel.domains.counters;
    return created - closed;
  };
  async function eventually(what: () => boolean): Promise<void> {
    for (let i = 0; i < 500 && !what(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(what()).toBe(true);
  }

  it('greets with its version, the stack and the calls, and is private', async () => {
    const greeting = await connect().greeting;
    expect(greeting).toMatchObject({ netmod: 1, stack: 'none' });
    expect(greeting.calls).toEqual(expect.arrayContaining(['socket', 'accept', 'poll', 'sysctl', 'uuidgen']));
    expect(greeting.calls).not.toContain('setfib');
    expect(fs.statSync(file).mode & 0o777).toBe(0o600);
  });

  it('serves the system calls: a connection from end to end', async () => {
    const a = connect();
    const b = connect();
    const listener = await a.ret('socket', 'local', 'stream', 0);
    expect(await a.ret('bind', listener, { path: 'svc' })).toBe(null);
    expect(await a.ret('listen', listener, 5)).toBe(null);
    expect(await a.ret('getsockname', listener)).toEqual({ path: 'svc' });
    const accepting = a.call('accept', listener);
    const fd = await b.ret('socket', 'local', 'stream', 0);
    expect(await b.ret('connect', fd, { path: 'svc' })).toBe(null);
    const { fd: child } = (await accepting).ret as { fd: number };
    const receiving = a.call('recv', child, 100);
    expect(await b.ret('send', fd, base64('hello'))).toBe(5);
    expect((await receiving).ret).toEqual({ data: base64('hello') });
    expect(await a.ret('send', child, base64('world'), ['MSG_DONTWAIT'])).toBe(5);
    expect(await b.ret('recv', fd, 3, ['MSG_PEEK'])).toEqual({ data: base64('wor') });
    expect(await b.ret('recv', fd, 100)).toEqual({ data: base64('world') });
    expect(await b.errno('recv', fd, 100, ['MSG_DONTWAIT'])).toBe('EAGAIN');
    expect(await b.ret('poll', [{ fd, events: ['in', 'out'] }], 0)).toEqual([{ fd, revents: ['out'] }]);
    expect(await a.ret('shutdown', child, 'wr')).toBe(null);
    expect(await b.ret('recv', fd, 100)).toEqual({ data: '' });
    expect(await b.ret('poll', [{ fd, events: ['in', 'rdhup'] }], 1000)).toEqual([{ fd, revents: ['in', 'rdhup'] }]);
    expect(await a.ret('close', child)).toBe(null);
    expect(await a.errno('close', child)).toBe('EBADF');
  });

  it('answers out of order: what blocks does not hold up what follows', async () => {
    const a = connect();
    const order: string[] = [];
    const [x, y] = (await a.ret('socketpair', 'local', 'stream')) as [number, number];
    const blocked = a.call('recv', x, 10).then((answer) => {
      order.push('recv');
      return answer;
    });
    await a.ret('sysctl', 'kern.ostype').catch(() => undefined);
    order.push('sysctl');
    await a.ret('send', y, base64('now'));
    expect((await blocked).ret).toEqual({ data: base64('now') });
    expect(order).toEqual(['sysctl', 'recv']);
  });

  it('has options, modes and datagrams by name', async () => {
    const a = connect();
    const [x, y] = (await a.ret('socketpair', 'local', 'dgram')) as [number, number];
    expect(await a.ret('setsockopt', x, 'SOL_SOCKET', 'SO_RCVBUF', 70_000)).toBe(null);
    expect(await a.ret('getsockopt', x, 'SOL_SOCKET', 'SO_RCVBUF')).toBe(70_000);
    expect(await a.ret('setsockopt', x, 'SOL_SOCKET', 'SO_LINGER', { onoff: true, linger: 3 })).toBe(null);
    expect(await a.ret('getsockopt', x, 'SOL_SOCKET', 'SO_LINGER')).toEqual({ onoff: true, linger: 3 });
    expect(await a.ret('setsockopt', x, 'SOL_SOCKET', 'SO_RCVTIMEO', { sec: 0, usec: 50_000 })).toBe(null);
    expect(await a.ret('getsockopt', x, 'SOL_SOCKET', 'SO_RCVTIMEO')).toEqual({ sec: 0, usec: 50_000 });
    expect(await a.errno('recv', x, 10)).toBe('EAGAIN');
    expect(await a.ret('getsockopt', x, 'SOL_SOCKET', 'SO_ERROR')).toBe(null);
    expect(await a.ret('fcntl', x, 'nonblock', true)).toBe(null);
    expect(await a.ret('fcntl', x, 'nonblock')).toBe(true);
    expect(await a.ret('send', y, base64('one'))).toBe(3);
    expect(await a.ret('ioctl', x, 'FIONREAD', 0)).toEqual({ value: 3 });
    expect(await a.ret('recvfrom', x, 2)).toMatchObject({ data: base64('on'), truncated: true });
  });

  it.each([
    [5, 'EINVAL'],
    ['soon', 'EINVAL'],
    [null, 'EINVAL'],
    [[1, 0], 'EINVAL'],
    [{ sec: '1' }, 'EINVAL'],
    [{ sec: -1, usec: 0 }, 'EDOM'],
    [{ sec: 0, usec: -1 }, 'EDOM'],
    [{ sec: 0, usec: 1_000_000 }, 'EDOM'],
  ])('refuses %j as a timeout, and keeps the one that is set', async (value, errno) => {
    const a = connect();
    const [x] = (await a.ret('socketpair', 'local', 'stream')) as [number, number];
    await a.ret('setsockopt', x, 'SOL_SOCKET', 'SO_SNDTIMEO', { sec: 2, usec: 999_999 });
    expect(await a.errno('setsockopt', x, 'SOL_SOCKET', 'SO_SNDTIMEO', value)).toBe(errno);
    expect(await a.ret('getsockopt', x, 'SOL_SOCKET', 'SO_SNDTIMEO')).toEqual({ sec: 2, usec: 999_999 });
  });

  it('refuses half a second of lingering', async () => {
    const a = connect();
    const [x] = (await a.ret('socketpair', 'local', 'stream')) as [number, number];
    expect(await a.errno('setsockopt', x, 'SOL_SOCKET', 'SO_LINGER', { onoff: true, linger: 0.5 })).toBe('EDOM');
  });

  it('makes accepted sockets blocking', async () => {
    const a = connect();
    const listener = await a.ret('socket', 'local', 'stream');
    await a.ret('bind', listener, { path: 'nb' });
    await a.ret('listen', listener);
    await a.ret('fcntl', listener, 'nonblock', true);
    expect(await a.errno('accept', listener)).toBe('EAGAIN');
    const fd = await a.ret('socket', 'local', 'stream');
    await a.ret('connect', fd, { path: 'nb' });
    const { fd: child } = (await a.ret('accept', listener)) as { fd: number };
    expect(await a.ret('fcntl', child, 'nonblock')).toBe(false);
  });

  it('makes identifiers, reads and writes sysctls', async () => {
    const a = connect();
    const uuids = (await a.ret('uuidgen', 3)) as string[];
    expect(uuids).toHaveLength(3);
    for (const uuid of uuids) expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-1[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(await a.errno('uuidgen', 0)).toBe('EINVAL');
    const all = (await a.ret('sysctlwalk', '')) as { name: string; value: unknown }[];
    expect(all.length).toBeGreaterThan(5);
    const old = await a.ret('sysctl', 'net.inet.accf.http.parsehttpversion', false);
    expect(old).toBe(true);
    expect(await a.ret('sysctl', 'net.inet.accf.http.parsehttpversion')).toBe(false);
    expect(await a.errno('sysctl', 'no.such')).toBe('ENOENT');
    expect(await a.errno('sysctl', 'kern')).toBe('EISDIR');
  });

  it.each([
    ['EAFNOSUPPORT', 'socket', ['inet', 'stream', 0]],
    ['EAFNOSUPPORT', 'socket', ['martian', 'stream', 0]],
    ['EPROTOTYPE', 'socket', ['local', 'telepathy', 0]],
    ['EINVAL', 'socket', [1, 2, 3]],
    ['EBADF', 'send', [77, 'aGk=']],
    ['EBADF', 'recv', [-1, 10]],
    ['EINVAL', 'recv', ['x', 10]],
    ['EINVAL', 'recv', [0, -5]],
    ['EINVAL', 'send', [0, 'not base64!']],
    ['EINVAL', 'send', [0, 'aGk=', ['MSG_NOSUCH']]],
    ['EINVAL', 'bind', [0, 'here']],
    ['EINVAL', 'bind', [0, { addr: '1.2.3', port: 1 }]],
    ['EINVAL', 'bind', [0, { addr: '1.2.3.4', port: 70_000 }]],
    ['ENOPROTOOPT', 'getsockopt', [0, 'SOL_SOCKET', 'SO_NOSUCH']],
    ['EINVAL', 'getsockopt', [0, 'SOL_NOSUCH', 'SO_ERROR']],
    ['ENOTTY', 'ioctl', [0, 'SIOCNOSUCH', {}]],
    ['EINVAL', 'shutdown', [0, 'sideways']],
    ['EINVAL', 'poll', ['all', 0]],
    ['ENOSYS', 'setfib', [1]],
    ['ENOSYS', 'fork', []],
    ['ENOSYS', 'constructor', []],
  ])('answers %s to %s%j', async (errno, call, args) => {
    const answer = await connect().call(call, ...args);
    expect(answer.errno).toBe(errno);
    expect(answer.message).toBeTruthy();
  });

  it('takes the descriptors of a dead client with it, blocked or not', async () => {
    const a = connect();
    await a.greeting;
    const before = openSockets();
    for (let i = 0; i < 20; i++) {
      const [x] = (await a.ret('socketpair', 'local', 'stream')) as [number, number];
      void a.call('recv', x, 10);
    }
    await a.ret('sysctl', 'no.such').catch(() => undefined);
    expect(openSockets()).toBe(before + 40);
    a.socket.destroy();
    await eventually(() => openSockets() === before);
  });

  it('survives a hundred clients that are killed at random', async () => {
    const before = openSockets();
    await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const client = connect();
        await client.greeting;
        for (let n = 0; n < 50; n++) {
          const pair = client.call('socketpair', 'local', 'stream');
          if (n === (i * 7) % 50) {
            client.socket.destroy();
            return;
          }
          const [x, y] = (await pair).ret as [number, number];
          void client.call('send', x, base64('x'.repeat(n)));
          void client.call('recv', y, 5000);
          if (n % 3 === 0) void client.call('close', x);
        }
        client.socket.destroy();
      }),
    );
    await eventually(() => openSockets() === before);
  });

  it.each([
    ['no JSON', 'hello\n', /not JSON/],
    ['no object', '[]\n', /id/],
    ['no id', '{"call":"socket"}\n', /id/],
    ['no call', '{"id":1}\n', /call/],
    ['wrong arguments', '{"id":1,"call":"socket","args":7}\n', /args is a list/],
    ['a list that is too long to read', `{"id":1,"call":"poll","args":[[${'{},'.repeat(20_000)}0]]}\n`, /at most 8192 values/],
    ['too many names', `{"id":1,"call":"ioctl","args":[{${'"a":1,'.repeat(4000)}"b":1}]}\n`, /at most 3072 names/],
    ['lists in lists', `{"id":1,"call":"poll","args":${'['.repeat(100_000)}\n`, /at most 32 levels/],
    ['a very long id', `{"id":"${'x'.repeat(300_000)}","call":"uuidgen"}\n`, /id has at most/],
    ['a line without end', 'x'.repeat(LINE_MAX + 100_000), /longer than/],
  ])('refuses a client that sends %s, and closes', async (_what, bytes, why) => {
    const client = connect();
    await client.greeting;
    client.socket.write(bytes);
    await client.closed;
    expect(client.stray).toEqual([{ id: null, errno: 'EINVAL', message: expect.stringMatching(why) }]);
    // The others do not notice.
    expect(await connect().ret('uuidgen', 1)).toHaveLength(1);
  });

  it('does not read on from a client that does not read', async () => {
    const hog = connect();
    await hog.greeting;
    hog.socket.pause();
    const line = `${JSON.stringify({ id: 1, call: 'sysctlwalk', args: [''] })}\n`;
    let flowing = true;
    for (let i = 0; i < 100_000; i++) flowing = hog.socket.write(line);
    expect(flowing).toBe(false);
    // Others are answered meanwhile, and the hog's requests stay where they are.
    const other = connect();
    for (let i = 0; i < 20; i++) await other.ret('uuidgen', 1);
    // How long it takes until the hog's side is full depends on the machine; that it ends does not.
    const requests = (): number => kernel.counters.get('control', 'requests') ?? 0;
    let served = -1;
    for (let i = 0; i < 50 && requests() !== served; i++) {
      served = requests();
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    expect(requests()).toBe(served);
    expect(served).toBeLessThan(20_000);
  });

  it('keeps the requests under way in bounds of memory', async () => {
    const a = connect();
    const [x, y] = (await a.ret('socketpair', 'local', 'stream')) as [number, number];
    // Each is as long as a line may be, and none can finish.
    const data = Buffer.alloc(256 * 1024).toString('base64');
    for (let i = 0; i < 300; i++) void a.call('send', x, data);
    await a.closed;
    expect(a.stray).toEqual([{ id: null, errno: 'EINVAL', message: expect.stringMatching(/under way/) }]);
    expect(kernel.counters.get('control', 'flooding')).toBe(1);
    expect(kernel.counters.get('control', 'requests')).toBeLessThan(200);
    // What it held is given back.
    expect(kernel.counters.get('control', 'membytes')).toBe(0);
    void y;
  });

  it('goes on with what waits when long requests under way are finished', async () => {
    const a = connect();
    const [x, y] = (await a.ret('socketpair', 'local', 'stream')) as [number, number];
    const fds = Array.from({ length: 1000 }, () => ({ fd: x }));
    const polls = Array.from({ length: 20 }, () => a.call('poll', fds, 300));
    const last = a.call('uuidgen', 1);
    let answered = false;
    void last.then(() => (answered = true));
    await polls[0];
    expect(answered).toBe(false);
    await Promise.all(polls);
    expect((await last).ret).toHaveLength(1);
    void y;
  });

  it('parses nothing that is nested deep: that alone takes very long', async () => {
    const a = connect();
    await a.greeting;
    const parse = vi.spyOn(JSON, 'parse');
    try {
      const deep = '['.repeat(100_000) + ']'.repeat(100_000);
      a.socket.write(`{"id":1,"call":"uuidgen","args":[${deep}]}\n`);
      await a.closed;
      expect(parse.mock.calls.every(([text]) => text.length < 1000)).toBe(true);
    } finally {
      parse.mockRestore();
    }
    expect(a.stray).toEqual([{ id: null, errno: 'EINVAL', message: expect.stringMatching(/32 levels/) }]);
  });

  it.each([
    ['a text of brackets', '['.repeat(5000)],
    ['quotes and backslashes', '\\"[[\\\\"'.repeat(500)],
  ])('does not take %s for nesting', async (_what, name) => {
    expect(await connect().errno('sysctl', name)).toBe('ENOENT');
  });

  it('passes over any number of empty lines, and says nothing to them', async () => {
    const a = connect();
    await a.greeting;
    a.socket.write('\r\n\n'.repeat(100_000));
    expect(await a.ret('uuidgen', 1)).toHaveLength(1);
    expect(kernel.counters.get('control', 'requests')).toBe(1);
    expect(kernel.counters.get('control', 'malformed')).toBe(0);
  });

  it('has so many streams and no more, and again when some have ended', async () => {
    const [a, b, c] = [connect(), connect(), connect()];
    for (const client of [a, b]) for (let i = 0; i < 64; i++) expect(await client.ret('events', {})).toEqual({ stream: true });
    expect(await c.call('events', {})).toMatchObject({ errno: 'EMFILE', message: expect.stringMatching(/in all/) });
    expect(kernel.counters.get('control', 'streams')).toBe(128);
    a.socket.destroy();
    await vi.waitFor(() => expect(kernel.counters.get('control', 'streams')).toBe(64));
    expect(await c.ret('events', {})).toEqual({ stream: true });
    b.socket.destroy();
  });

  it('joins an event once, however often it is named', async () => {
    const a = connect();
    expect(await a.ret('events', { names: Array.from({ length: 8000 }, () => 'load') })).toEqual({ stream: true });
    kernel.diag.load.publish({ action: 'load', id: 7, name: 'm', version: 1 });
    expect(await a.ret('cancel', 1)).toBe(null);
    // The stream's item and its end have the id of the call that began it.
    expect(a.lines.filter((line) => line.id === 1)).toEqual([
      { id: 1, ret: { stream: true } },
      { id: 1, item: expect.objectContaining({ event: 'load', name: 'm' }) },
      { id: 1, end: expect.objectContaining({ events: 1 }) },
    ]);
  });

  it('refuses what is nested so deep that nobody could answer it', async () => {
    for (let depth = 250; depth < 200_000; depth *= 2) {
      const client = connect();
      await client.greeting;
      const deep = '{"x":'.repeat(depth) + '1' + '}'.repeat(depth);
      client.socket.write('{"id":1,"call":"socketpair","args":["local","stream"]}\n');
      client.socket.write(`{"id":2,"call":"ioctl","args":[0,"FIONREAD",${deep}]}\n`);
      await client.closed;
      expect(client.stray.at(-1)).toMatchObject({ id: null, errno: 'EINVAL' });
    }
    expect(await connect().ret('uuidgen', 1)).toHaveLength(1);
  });

  it('bounds the calls under way, and answers all of a long queue in the end', async () => {
    const a = connect();
    const [x, y] = (await a.ret('socketpair', 'local', 'stream')) as [number, number];
    const answers = Array.from({ length: 3000 }, () => a.call('recv', x, 1));
    const b = connect();
    expect(await b.ret('uuidgen', 1)).toHaveLength(1);
    a.socket.destroy();
    void y;
    void answers;
    await eventually(() => openSockets() === 0);
  });

  it('replaces a stale socket, and refuses a live one or another file', async () => {
    await expect(startControl(kernel, file)).rejects.toThrow(/another boot answers there/);
    const plain = path.join(dir, 'plain');
    fs.writeFileSync(plain, 'x');
    await expect(startControl(kernel, plain)).rejects.toThrow(/not a socket/);
    await expect(startControl(kernel, path.join(plain, 'x.sock'))).rejects.toThrow(/cannot make its directory/);
    await expect(startControl(kernel, path.join(dir, 'x'.repeat(200)))).rejects.toThrow(/longer than/);
    const stale = path.join(dir, 'stale.sock');
    const dead = net.createServer().listen(stale);
    await new Promise((resolve) => dead.once('listening', resolve));
    fs.renameSync(stale, `${stale}.kept`);
    await new Promise((resolve) => dead.close(resolve));
    fs.renameSync(`${stale}.kept`, stale);
    const second = await startControl(kernel, stale);
    expect((await new Client(stale).greeting).netmod).toBe(1);
    await second.close();
    expect(fs.existsSync(stale)).toBe(false);
  });
});
