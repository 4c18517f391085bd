/** Scripts that fail, and how: the place, what was expected and what came, in the script's own language. And the command's exit status. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pktMain } from '../../src/pkt/cli.ts';
import { runScript } from '../../src/pkt/run.ts';
import { netmodModule as alt } from '../../src/stacks/alt/module.ts';
import { netmodModule as inet } from '../../src/stacks/inet/module.ts';

const run = (text: string) => runScript('a.pkt', text, { stack: inet, stackName: 'inet' });

async function failure(text: string): Promise<string> {
  const result = await run(text);
  return result.kind === 'failed' ? result.message : result.kind;
}

const CONNECTED = `0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 65535 <mss 1000>
+0 > S. 0:0(0) ack 1 <mss 1460>
+.1 < . 1:1(0) ack 1 win 65535
+0 accept(3, ..., ...) = 4
`;

describe('a packet that is not as expected', () => {
  it.each([
    ['> . 1:501(500) ack 1', 'flags are P., not .'],
    ['> P. 1:401(400) ack 1', 'the length is 500, not 400'],
    ['> P. 2:502(500) ack 1', 'the sequence number is 1, not 2'],
    ['> P. 1:501(500) ack 2', 'ack is 1, not 2'],
    ['> P. 1:501(500) ack 1 win 7', 'win is 65535, not 7'],
    ['> P. 1:501(500) ack 1 <nop,nop,sack 1:2>', 'option sack 1:2 is not there'],
    ['> [ect0] P. 1:501(500) ack 1', 'ECN bits are 0, not 2'],
    ['> [ttl 5] P. 1:501(500) ack 1', 'ttl is 64, not 5'],
    ['> 8080 > 7 P. 1:501(500) ack 1', 'the ports are 8080 > 40001, not 8080 > 7'],
    ['> udp (500)', 'the ports are 8080 > 40001, not 8080 > 8080'],
  ])('%s: %s', async (expected, why) => {
    const message = await failure(`${CONNECTED}+0 write(4, ..., 500) = 500\n+0 ${expected}`);
    expect(message.split('\n')).toEqual([
      `a.pkt:9: ${why}`,
      `  expected  0.100 ${expected}`,
      expect.stringMatching(/^ {2}came {6}0\.100 > P\. /),
    ]);
  });

  it('options that are there and not written', async () => {
    const message = await failure(CONNECTED.replace('<mss 1000>', '<mss 1000,sackOK>'));
    expect(message).toContain('a.pkt:5: option sackOK is there');
    expect(message).toContain('came      0.000 > S. 0:0(0) ack 1 win 65535 <mss 1460,nop,nop,sackOK>');
  });

  it('one that does not come', async () => {
    expect(await failure(`${CONNECTED}+.5 > . 1:1(0) ack 9`)).toBe(
      'a.pkt:8: not as expected\n  expected  0.600 > . 1:1(0) ack 9\n  came      nothing came until 0.604',
    );
  });

  it('one that comes too early, or too late', async () => {
    const write = `${CONNECTED}+0 write(4, ..., 10) = 10\n`;
    expect(await failure(`${write}+.1 > P. 1:11(10) ack 1`)).toContain('it came 0.100, which is too early');
    expect(await failure(`${write}+0 > P. 1:11(10) ack 1\n+0~+.01 > P. 1:11(10) ack 1`)).toContain('nothing came until 0.114');
  });

  it('one that nothing expects, at the end and before another', async () => {
    const message = await failure(`${CONNECTED}+0 write(4, ..., 10) = 10\n+0 \`sleep .1\`\n+0 close(3) = 0`);
    expect(message).toBe('a.pkt:10: not as expected\n  expected  nothing more\n  came      0.100 > P. 1:11(10) ack 1 win 65535');
  });
});

describe('a call that is not as expected', () => {
  it('its result, its error, what it fills in', async () => {
    expect(await failure('0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 listen(3, 1) = -1 EINVAL')).toBe(
      'a.pkt:2: not as expected\n  expected  listen answers -1 EINVAL\n  came      it answered 0',
    );
    expect(await failure('0 connect(9, ..., ...) = -1 EINVAL')).toContain('it answered -1 EBADF');
    expect(await failure(`${CONNECTED}+0 getsockopt(4, SOL_TCP, TCP_NODELAY, [1], [4]) = 0`)).toContain(
      'came      the value is 0',
    );
    expect(await failure(`${CONNECTED}+0 poll([{fd=4, events=POLLIN, revents=POLLIN}], 1, 0) = 0`)).toContain(
      'revents of number 0 is 0x0',
    );
    expect(await failure(`${CONNECTED}+0 < P. 1:3(2) ack 1 win 9\n+0 read(4, "ab", 2) = 2`)).toContain('the bytes are');
  });

  it('one that blocks, ends too soon, or does not end', async () => {
    expect(await failure(`${CONNECTED}+0 read(4, ..., 10) = 10`)).toContain('came      the call blocks');
    expect(
      await failure(`${CONNECTED}+0...1 read(4, ..., 10) = 10\n+.1 < P. 1:11(10) ack 1 win 9\n+.1 > . 1:1(0) ack 11`),
    ).toContain('expected  the call ends at 1.100');
    expect(await failure(`${CONNECTED}+0...1 read(4, ..., 10) = 10`)).toContain('the call still blocks at 1.104');
  });

  it('an assertion that does not hold', async () => {
    expect(await failure(`${CONNECTED}+0 %{ assert tcpi_state == 1 and tcpi_unacked == 3, tcpi_unacked }%`)).toContain(
      'it does not hold: tcpi_state == 1 and tcpi_unacked == 3, with tcpi_state 1, tcpi_unacked 0',
    );
    expect(await failure(`${CONNECTED}+0 %{ assert not (tcpi_snd_cwnd * 2 < 20) or tcpi_state > 4 }%`)).toBe('passed');
  });
});

describe('what is not part of the language here', () => {
  it.each([
    ['0 epoll_create(1) = 5', 'a.pkt:1:1: there is no call epoll_create here; there are socket bind listen'],
    ['0 socket(..., SOCK_STREAM, IPPROTO_MPTCP) = 3', "a.pkt:1:28: IPPROTO_MPTCP is Linux's and has no counterpart here"],
    ['0 socket(..., SOCK_STREAM, IPPROTO_HELLO) = 3', 'unknown constant IPPROTO_HELLO; known are AF_INET'],
    ['0 close(3) = -1 EHELLO', 'unknown error EHELLO'],
    ['+0 `rm -rf x`', "'rm' is not run: there is no shell, only sysctl NAME=VALUE and sleep SECONDS"],
    ['+0 `sysctl net.ipv4.tcp_frto=1`', 'sysctl net.ipv4.tcp_frto is not known here'],
    ['+0 `sysctl net.inet.tcp.hello=1`', 'this stack has no sysctl net.inet.tcp.hello (ENOENT)'],
    ['+0 `sysctl net.inet.tcp.msl=0`', 'sysctl net.inet.tcp.msl=0: EINVAL'],
    ['+0 %{ import os }%', "'import os' is not an assert"],
    ['+0 %{ assert tcpi_hello == 1 }%', 'there is no connection to ask about'],
  ])('%s', async (text, message) => {
    await expect(run(text)).rejects.toThrow(message);
  });
});

describe('scripts as others write them', () => {
  const CONNECTING = `0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0
+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0 > S 0:0(0) <...>
`;

  it('an ICMP error that names no packet is about the first', async () => {
    const script = `${CONNECTING}+0 < icmp unreachable port_unreachable\n+0 getsockopt(3, SOL_SOCKET, SO_ERROR, [ECONNREFUSED], [4]) = 0`;
    expect(await run(script)).toMatchObject({ kind: 'passed' });
  });

  it('a digest that nobody asked for is no reason to refuse a segment', async () => {
    const digest = '<md5 000102030405060708090a0b0c0d0e0f,nop,nop>';
    const script = `${CONNECTED}+0 < . 1:1001(1000) ack 1 win 65535 ${digest}\n+0 read(4, ..., 1000) = 1000`;
    expect(await run(script)).toMatchObject({ kind: 'passed' });
  });

  it('--strict_segments: a long packet stands for itself', async () => {
    const script = `${CONNECTED}+0 write(4, ..., 2000) = 2000\n+0 > P. 1:2001(2000) ack 1`;
    expect(await run(script)).toMatchObject({ kind: 'passed' });
    expect(await failure(`--strict_segments\n${script}`)).toContain('flags are ., not P.');
  });

  it('sysctls of others: what is so anyway is taken, what is half of ours is not', async () => {
    const before = '0 `sysctl -w net.inet.tcp.hostcache.purgenow=1 net.inet.tcp.blackhole=0 net.ipv4.tcp_timestamps=1`\n';
    expect(await run(before + CONNECTED)).toMatchObject({ kind: 'passed' });
    const half = '0 `sysctl net.ipv4.tcp_timestamps=0`';
    expect(await run(half)).toMatchObject({ kind: 'passed' });
    const onAlt = runScript('t.pkt', half, { stack: alt, stackName: 'alt' });
    await expect(onAlt).rejects.toThrow('go together here, by net.inet.tcp.rfc1323');
    await expect(run('0 `sysctl net.inet.tcp.blackhole=1`')).rejects.toThrow('has no sysctl net.inet.tcp.blackhole');
  });
});

describe('netmod-pkt', () => {
  let dir = '';
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'netmod-pkt-'));
    writeFileSync(join(dir, 'good.pkt'), CONNECTED);
    writeFileSync(join(dir, 'skip.pkt'), `// skip alt: because\n${CONNECTED}`);
    writeFileSync(join(dir, 'fail.pkt'), `${CONNECTED}+0 > . 1:1(0) ack 1`);
    writeFileSync(join(dir, 'bad.pkt'), '0 what');
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  /** The command in this process, from the scripts' folder. */
  async function netmodPkt(...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
    const done = { stdout: '', stderr: '' };
    const status = await pktMain(
      args.map((arg) => (arg.endsWith('.pkt') ? join(dir, arg) : arg)),
      {
        out: (line) => (done.stdout += `${line.replace(`${dir}/`, '')}\n`),
        err: (line) => (done.stderr += `${line.replace(`${dir}/`, '')}\n`),
      },
    );
    return { status, ...done };
  }

  it('is a program', () => {
    const main = resolve(import.meta.dirname, '../../src/pkt/main.ts');
    const loader = resolve(import.meta.dirname, '../support/ts-register.mjs');
    const done = spawnSync(process.execPath, ['--import', loader, main, 'fail.pkt', '--quiet'], { cwd: dir, encoding: 'utf8' });
    expect(done.status).toBe(1);
    expect(done.stderr).toMatch(/^FAIL fail\.pkt:8: not as expected\n {2}expected/);
  });

  it('reads standard input, helps, and names what it cannot read', async () => {
    const main = resolve(import.meta.dirname, '../../src/pkt/main.ts');
    const loader = resolve(import.meta.dirname, '../support/ts-register.mjs');
    const done = spawnSync(process.execPath, ['--import', loader, main, '-'], { cwd: dir, encoding: 'utf8', input: CONNECTED });
    expect(done).toMatchObject({ status: 0, stdout: 'ok   -\n' });
    const help = await netmodPkt('--help');
    expect(help).toMatchObject({ status: 0, stderr: '' });
    expect(help.stdout).toMatch(/^usage: netmod-pkt FILE\.pkt/);
    expect(await netmodPkt('missing.pkt', 'good.pkt')).toMatchObject({
      status: 2,
      stdout: 'ok   good.pkt\n',
      stderr: expect.stringMatching(/^cannot read missing\.pkt: ENOENT/) as string,
    });
    expect((await netmodPkt(dir)).stderr).toMatch(/^cannot read .*EISDIR/);
  });

  it('0: all passed or were skipped', async () => {
    const done = await netmodPkt('good.pkt', 'skip.pkt', '--stack=alt');
    expect(done).toMatchObject({ status: 0, stdout: 'ok   good.pkt\nskip skip.pkt: because\n', stderr: '' });
  });

  it.each(['inet', 'alt'])("initial numbers of one's choice on both sides: %s has exactly these", async (stack) => {
    const args = ['good.pkt', `--stack=${stack}`, '--iss=4294967295', '--irs=2147483647'];
    expect(await netmodPkt(...args)).toMatchObject({ status: 0, stdout: 'ok   good.pkt\n', stderr: '' });
  });

  it('1: one failed; 2: one cannot be read', async () => {
    const failed = await netmodPkt('good.pkt', 'fail.pkt', '--quiet');
    expect(failed.status).toBe(1);
    expect(failed.stderr).toMatch(/^FAIL fail\.pkt:8: not as expected\n {2}expected/);
    const bad = await netmodPkt('fail.pkt', 'bad.pkt', 'none.pkt');
    expect(bad.status).toBe(2);
    expect(bad.stderr).toContain("bad.pkt:1:7: expected '('");
    expect(bad.stderr).toContain('none.pkt');
  });

  it.each([
    [[], 'usage: netmod-pkt'],
    [['--stack=innet', 'good.pkt'], "unknown stack 'innet'; there are inet and alt"],
    [['--stack=./none.js', 'good.pkt'], "cannot load './none.js'"],
    [['--wat', 'good.pkt'], "unknown or incomplete option '--wat'"],
    [['--iss=4294967296', 'good.pkt'], "unknown or incomplete option '--iss=4294967296'"],
  ])('2: %j', async (args, message) => {
    const done = await netmodPkt(...args);
    expect(done.status).toBe(2);
    expect(done.stderr).toContain(message);
  });
});
