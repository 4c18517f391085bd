/** What needs no boot: near words, addresses, columns, Prometheus text, the live view. */
import { describe, expect, it } from 'vitest';
import type { CounterRow, IfRow, TcpPcb } from '../../src/client/types.ts';
import { addressArg, lladdrArg, netmaskArg, netmaskText, prefixArg, withColon } from '../../src/tools/addresses.ts';
import { columns, human } from '../../src/tools/columns.ts';
import { prometheusText } from '../../src/tools/metrics.ts';
import { nearest, unknown } from '../../src/tools/nearest.ts';
import { formatTcpInfo } from '../../src/tools/ss.ts';
import { wholeNumber } from '../../src/tools/tool.ts';
import { TopView, sparkline } from '../../src/tools/top.ts';

const counter = (group: string, name: string, value: number, more: Partial<CounterRow> = {}): CounterRow => ({
  group,
  name,
  value,
  type: 'counter',
  drop: false,
  help: '',
  ...more,
});

describe('near words', () => {
  it('are found, and far ones are not', () => {
    expect(nearest('netsat', ['netstat', 'ss'])).toBe('netstat');
    expect(nearest('IFCONFG', ['ifconfig'])).toBe('ifconfig');
    expect(nearest('xyzzy', ['netstat', 'ss'])).toBeNull();
    expect(nearest('x', ['ss'])).toBeNull();
    expect(unknown('verb', 'ad', ['add', 'delete'])).toBe("unknown verb 'ad'; did you mean 'add'?");
    expect(unknown('verb', 'zzzzzz', ['add'])).toBe("unknown verb 'zzzzzz'; there are add");
  });
});

describe('arguments', () => {
  it('addresses and prefixes', () => {
    expect(prefixArg('10.0.0.0/8')).toEqual({ addr: '10.0.0.0', prefixLen: 8, stated: true });
    expect(prefixArg('default')).toEqual({ addr: '0.0.0.0', prefixLen: 0, stated: true });
    expect(prefixArg('10.1.2.3').prefixLen).toBe(32);
    for (const bad of ['10.0.0.0/33', '10.0.0/8', '10.0.0.0/x', '', '300.1.1.1', '010.0.0.1x'])
      expect(() => prefixArg(bad), bad).toThrow();
    expect(() => addressArg('host')).toThrow("not 'host'");
    expect(netmaskArg('0xffffff00')).toBe(24);
    expect(netmaskArg('255.255.0.0')).toBe(16);
    expect(() => netmaskArg('255.0.255.0')).toThrow();
    expect([0, 1, 24, 32].map(netmaskText)).toEqual(['0x00000000', '0x80000000', '0xffffff00', '0xffffffff']);
    expect(lladdrArg('2:0:0:0:0:A')).toBe('02:00:00:00:00:0a');
    expect(() => lladdrArg('02:00')).toThrow();
    expect(withColon('::1', 80)).toBe('[::1]:80');
  });
  it('numbers', () => {
    expect(wholeNumber('0x10', 'n', 0, 100)).toBe(16);
    for (const bad of ['', '-1', '1.5', '1e3', '101', ' 1'])
      expect(() => wholeNumber(bad, 'n', 0, 100), bad).toThrow('from 0 to 100');
  });
});

describe('text', () => {
  it('columns are as wide as they must be', () => {
    expect(
      columns(
        ['A', { head: 'N', right: true }, 'B'],
        [
          ['x', '100', ''],
          ['yyy', '1', 'z'],
        ],
      ),
    ).toBe('A      N  B\nx    100\nyyy    1  z');
  });
  it('numbers with a prefix', () => {
    expect([0, 999, 1000, 12_345, 999_500, 1e9].map(human)).toEqual(['0', '999', '1.0K', '12.3K', '1000K', '1.0G']);
  });
  it('sparklines', () => {
    expect(sparkline([0, 7], 2)).toBe('▁█');
    expect(sparkline([5, 5], 2)).toBe('▄▄');
    expect(sparkline([], 2)).toBe('  ');
  });
  it('TCP_INFO in the units of ss: milliseconds and segments', () => {
    const info = {
      ...{
        state: 'ESTABLISHED',
        options: ['ts', 'sack', 'wscale'],
        ca_state: 'recovery',
        snd_cwnd: 14480,
        snd_ssthresh: 0x3fffffff,
      },
      ...{
        rtt: 1500,
        rttvar: 250,
        rto: 201000,
        snd_mss: 1448,
        rcv_mss: 536,
        snd_wnd: 65536,
        rcv_wnd: 65535,
        snd_una: 1,
        snd_nxt: 1,
      },
      ...{ rcv_nxt: 1, retransmits: 0, total_retrans: 3, unacked: 2, sacked: 1, lost: 1, bytes_acked: 10, bytes_received: 20 },
      ...{ snd_wscale: 7, rcv_wscale: 8 },
    };
    expect(formatTcpInfo(info, 'newreno')).toBe(
      'ts sack wscale:7,8 newreno rto:201 rtt:1.5/0.25 mss:1448 rcvmss:536 cwnd:10 bytes_acked:10 bytes_received:20 ' +
        'send 77226667bps unacked:2 retrans:0/3 lost:1 sacked:1 ca_state:recovery snd_wnd:65536 rcv_wnd:65535',
    );
  });
});

describe('Prometheus text', () => {
  const rows = [
    counter('tcp', 'sndtotal', 5, { help: 'packets sent\nof "all"' }),
    counter('if.tap0', 'ipackets', 7),
    counter('if.a"b\\c', 'ipackets', 8),
    counter('bufpool', 'used', 3, { type: 'gauge' }),
  ];
  it('is valid: each family once, with its type before its samples', () => {
    const text = prometheusText(rows, 'inet');
    const seen = new Set<string>();
    let family = '';
    for (const line of text.split('\n')) {
      const type = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge)$/.exec(line);
      if (type !== null) {
        family = type[1]!;
        expect(seen.has(family)).toBe(false);
        seen.add(family);
        expect(family.endsWith('_total')).toBe(type[2] === 'counter');
      } else if (!line.startsWith('# HELP ')) {
        expect(line).toMatch(/^[a-zA-Z_:][a-zA-Z0-9_:]*(\{[a-z_]+="([^"\\\n]|\\["\\n])*"\})? -?\d+(\.\d+)?$/);
        expect(line.replace(/[{ ].*/, '')).toBe(family);
      }
    }
    expect(text).toContain('netmod_if_ipackets_total{interface="a\\"b\\\\c"} 8');
    expect(text).toContain('# HELP netmod_tcp_sndtotal_total packets sent\\nof "all"');
  });
});

describe('the live view', () => {
  const iface = (ibytes: number): IfRow =>
    ({ name: 'tap0', counters: { ibytes, obytes: 0, iqdrops: 1, oqdrops: 2 } }) as unknown as IfRow;
  const pcb = (bytes: number, cwnd: number, rtt: number): TcpPcb =>
    ({
      ...{ laddr: '10.0.0.2', lport: 80, faddr: '10.0.0.1', fport: 4096, state: 'ESTABLISHED' },
      info: { bytes_acked: bytes, bytes_received: 0, snd_cwnd: cwnd, rtt, total_retrans: 4 },
    }) as unknown as TcpPcb;

  it('makes rates, sparklines and reasons of drops of what it is fed', () => {
    const view = new TopView();
    expect(view.lines('inet', 80, 20)).toEqual([]);
    const drop = (value: number): CounterRow => counter('ip', 'badsum', value, { drop: true });
    view.add({ atMs: 0, interfaces: [iface(0)], connections: [pcb(0, 14600, 1000)], drops: [drop(1)] });
    view.add({ atMs: 2000, interfaces: [iface(250_000)], connections: [pcb(125_000, 29200, 2500)], drops: [drop(4)] });
    const lines = view.lines('inet', 120, 20);
    expect(lines[0]).toBe('netmod top - stack inet - 1 connections, 1 established, 0 listening');
    expect(lines.find((line) => line.startsWith('tap0'))).toMatch(/tap0 +1\.0Mbit\/s .* 3$/);
    expect(lines).toContain('drops: ip.badsum 3');
    expect(lines.at(-1)).toMatch(/10\.0\.0\.2:80 +10\.0\.0\.1:4096 +ESTAB +500K +29\.2K +▁█ +2\.50ms +▁█ +4$/);
  });

  it('fits the screen, and forgets connections that are gone', () => {
    const view = new TopView();
    view.add({ atMs: 0, interfaces: [iface(0)], connections: Array.from({ length: 100 }, () => pcb(0, 1, 1)), drops: [] });
    const lines = view.lines('inet', 40, 12);
    expect(lines.length).toBeLessThanOrEqual(12);
    for (const line of lines) expect([...line].length).toBeLessThanOrEqual(40);
    view.add({ atMs: 1000, interfaces: [], connections: [], drops: [] });
    expect(view.lines('inet', 40, 12).at(-1)).toContain('LOCAL');
  });
});
