/** Each command on each stack, and with none: what it prints, what it changes, what it answers as JSON, and its exit status. */
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Lab, type StackName, acknowledged, bytes, eventually, runTool } from './support.ts';

describe.each(['inet', 'alt'] satisfies StackName[])('commands on %s', (stack) => {
  let lab: Lab;
  let log: string[];
  beforeEach(async () => void (lab = await Lab.open(stack, { log: (log = []) })));
  afterEach(() => lab.close());

  const ok = async (line: string): Promise<string> => {
    const ran = await lab.sh(line);
    expect({ line, status: ran.status, err: ran.err }).toEqual({ line, status: 0, err: '' });
    return ran.out;
  };
  const fails = async (line: string): Promise<string> => {
    const ran = await lab.sh(line);
    expect({ line, status: ran.status, out: ran.out }).toEqual({ line, status: 1, out: '' });
    return ran.err;
  };

  it('ifconfig shows interfaces with flags, options, addresses and state', async () => {
    const text = await ok('ifconfig tap0');
    expect(text).toMatch(/^tap0: flags=8843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST> metric 0 mtu 1500\n/);
    expect(text).toContain('\tether 02:00:00:00:00:01\n');
    expect(text).toContain('\tinet 10.0.0.2 netmask 0xffffff00 broadcast 10.0.0.255\n');
    expect(text).toContain('\tstatus: active\n');
    expect(await ok('ifconfig')).toMatch(/^lo0: flags=8049<UP,LOOPBACK,RUNNING,MULTICAST>/);
    expect(await ok('ifconfig -l')).toBe('lo0 tap0\n');
    expect(await lab.json('ifconfig tap0')).toMatchObject([{ name: 'tap0', mtu: 1500, addrs: [{ addr: '10.0.0.2' }] }]);
    expect(await ok('ifconfig -C')).toBe('epair lo\n');
    expect(await fails('ifconfig tap9')).toContain('interface tap9 does not exist; there are lo0 tap0');
  });

  it('ifconfig changes flags, MTU, addresses, description, and makes and destroys interfaces', async () => {
    await ok('ifconfig tap0 down');
    expect(await ok('ifconfig tap0')).toContain('status: down');
    expect(await ok('ifconfig -l -d')).toBe('tap0\n');
    await ok('ifconfig tap0 up mtu 1280');
    expect(await ok('ifconfig tap0')).toContain(' mtu 1280\n');
    await ok('ifconfig tap0 inet 10.0.7.1 netmask 255.255.255.0 alias');
    expect(await ok('ifconfig tap0')).toContain('inet 10.0.7.1 netmask 0xffffff00 broadcast 10.0.7.255');
    await ok('ifconfig tap0 10.0.7.1 -alias');
    expect(await ok('ifconfig tap0')).not.toContain('10.0.7.1');
    expect((await lab.run(['ifconfig', 'tap0', 'description', 'the wire'])).status).toBe(0);
    expect(await ok('ifconfig tap0')).toContain('description: the wire');
    await ok('ifconfig tap0 -txcsum -tso');
    expect(await ok('ifconfig tap0')).not.toMatch(/TXCSUM,|TSO4/);
    expect(await ok('ifconfig lo create')).toBe('lo1\n');
    await ok('ifconfig lo1 destroy');
    expect(await ok('ifconfig -l')).toBe('lo0 tap0\n');
    expect(await fails('ifconfig tap0 destroy')).toContain('was not made by create');
    expect(await fails('ifconfig wlan0 create')).toContain('there are epair lo');
  });

  it('route shows, adds, changes, deletes and asks', async () => {
    expect(await ok('route add 10.9.0.0/16 10.0.0.1')).toBe('add net 10.9.0.0/16: gateway 10.0.0.1\n');
    expect(await ok('route show')).toMatch(/10\.9\.0\.0\/16 +10\.0\.0\.1 +UGS +1500 +tap0/);
    expect(await fails('route add 10.9.0.0/16 10.0.0.1')).toContain('is in the table already');
    expect(await fails('route change 10.9.0.0/16 192.168.1.1')).toContain('no interface leads to the gateway');
    expect(await ok('route get 10.9.1.1')).toMatch(/gateway: 10\.0\.0\.1\n +interface: tap0\n +source: 10\.0\.0\.2/);
    expect(await ok('route change 10.9.0.0/16 10.0.0.7')).toContain('change net');
    expect(await lab.json('route get 10.9.1.1')).toMatchObject({ gateway: '10.0.0.7', name: 'tap0', mtu: 1500 });
    expect(await ok('route delete 10.9.0.0/16')).toBe('delete net 10.9.0.0/16\n');
    expect(await fails('route delete 10.9.0.0/16')).toContain('is not in the table');
    expect(await ok('route flush')).toBe('delete net default: gateway 10.0.0.1\n');
    expect(await fails('route get 10.9.1.1')).toContain('unreachable');
  });

  it('route monitor tells what happens, until it is ended', async () => {
    const ended = new AbortController();
    const lines: string[] = [];
    const print = (line: string): void => void lines.push(line);
    const monitor = runTool(['route', 'monitor', '--json'], { NETMOD_CTL: lab.files[0] }, ended.signal, { print });
    await eventually(async () => {
      await lab.sh('route add 10.9.0.0/16 10.0.0.1');
      await lab.sh('route delete 10.9.0.0/16');
      return lines.length > 2;
    });
    ended.abort();
    expect((await monitor).status).toBe(0);
    const actions = lines.map((line) => JSON.parse(line) as { event: string; action: string; dst: string });
    for (const event of ['add', 'delete']) {
      expect(actions).toContainEqual(expect.objectContaining({ event: 'route', action: event, dst: '10.9.0.0', prefixLen: 16 }));
    }
  });

  it('ifconfig shows an address that is still asked for (RFC 5227)', async () => {
    await ok('sysctl net.inet.ip.dad_count=3');
    await ok('ifconfig tap0 10.0.0.40/24 alias');
    expect(await ok('ifconfig tap0')).toMatch(/inet 10\.0\.0\.40 netmask \S+ tentative\n/);
    await ok('ifconfig tap0 10.0.0.40 -alias');
    expect(await ok('ifconfig tap0')).not.toContain('10.0.0.40');
    await ok('sysctl net.inet.ip.dad_count=0');
  });

  it('recvfrom says what the socket asked for (IP_RECVTTL), by name', async () => {
    const boot = await lab.client();
    const fd = await boot.socket('inet', 'dgram');
    await boot.bind(fd, { addr: '0.0.0.0', port: 4300 });
    await boot.setsockopt(fd, 'IPPROTO_IP', 'IP_RECVTTL', 1);
    await boot.setsockopt(fd, 'IPPROTO_IP', 'IP_RECVDSTADDR', 1);
    const host = await lab.client(1);
    await host.sendto(await host.socket('inet', 'dgram'), bytes('x'), { addr: '10.0.0.2', port: 4300 });
    const { control } = await boot.recvfrom(fd, 10);
    expect(control).toEqual([
      { level: 'IPPROTO_IP', type: 'IP_RECVDSTADDR', value: '10.0.0.2' },
      { level: 'IPPROTO_IP', type: 'IP_RECVTTL', value: 64 },
    ]);
  });

  it('arp shows, sets and deletes', async () => {
    await ok('arp -s 10.0.0.9 2:0:0:0:0:9');
    expect(await ok('arp 10.0.0.9')).toBe('? (10.0.0.9) at 02:00:00:00:00:09 on tap0 permanent [ethernet]\n');
    const host = await lab.client(1);
    await host.sendto(await host.socket('inet', 'dgram'), bytes('x'), { addr: '10.0.0.2', port: 7 });
    await eventually(async () => (await ok('arp -an')).includes('10.0.0.1)'));
    expect(await ok('arp -an')).toMatch(/\(10\.0\.0\.1\) at 02:00:00:00:00:02 on tap0 \w+, expires in \d+ seconds/);
    expect(await lab.json('arp -a -i lo0')).toEqual([]);
    expect(await ok('arp -d 10.0.0.9')).toBe('10.0.0.9 (02:00:00:00:00:09) deleted\n');
    expect(await lab.json<unknown[]>('arp -d -a')).toHaveLength(1);
    expect((await lab.sh('arp 10.0.0.9')).status).toBe(1);
    expect(await fails('arp -s 192.168.1.1 02:00:00:00:00:0a')).toMatch(/192\.168\.1\.1/);
  });

  it('netstat: connections, interfaces, routes, listen queues, statistics, buffers', async () => {
    const host = await lab.client(1);
    const fd = await host.socket('inet', 'stream');
    await host.connect(fd, { addr: '10.0.0.2', port: 7 });
    await host.send(fd, bytes('hello'));
    expect((await host.recv(fd, 5)).length).toBe(5);
    await acknowledged(lab);
    expect(await ok('netstat -n')).toMatch(/tcp4 +0 +0 +10\.0\.0\.2\.7 +10\.0\.0\.1\.\d+ +ESTABLISHED/);
    expect(await ok('netstat -n')).not.toContain('LISTEN');
    expect(await ok('netstat -an')).toMatch(/tcp4 +0 +0 +\*\.80 +\*\.\* +LISTEN/);
    expect(await ok('netstat -an -p udp')).not.toContain('tcp4');
    expect(await ok('netstat -L')).toMatch(/tcp4 +0\/0\/\d+ +\*\.80/);
    expect(await ok('netstat -i')).toMatch(/tap0 +1500 +<Link#2> +02:00:00:00:00:01 +[1-9]/);
    expect(await ok('netstat -rn')).toMatch(/default +10\.0\.0\.1 +UGS/);
    const all = await ok('netstat -s -p tcp');
    const moved = await ok('netstat -s -s -p tcp');
    expect(all.split('\n').length).toBeGreaterThan(moved.split('\n').length);
    expect(moved).not.toMatch(/\t0 /);
    expect(await ok('netstat -m')).toContain('bufpool:');
    expect(await lab.json('netstat -a')).toMatchObject({
      inet: expect.arrayContaining([expect.objectContaining({ lport: 80 })]),
    });
    expect(await fails('netstat -s -p tcpp')).toContain("did you mean 'tcp'?");
    expect((await ok('netstat -I tap0 -w 1 -q 1')).trim().split('\n')).toHaveLength(3);
  });

  it('ss and sockstat show connections with what TCP knows and who has them', async () => {
    const host = await lab.client(1);
    const fd = await host.socket('inet', 'stream');
    await host.connect(fd, { addr: '10.0.0.2', port: 7 });
    await host.send(fd, bytes('x'.repeat(1000)));
    let got = 0;
    while (got < 1000) got += (await host.recv(fd, 1000)).length;
    await acknowledged(lab);
    const text = await ok('ss -ti');
    expect(text).toMatch(/tcp +ESTAB +0 +0 +10\.0\.0\.2:7 +10\.0\.0\.1:\d+\n\t .*rto:\d+.* mss:1\d+ .*cwnd:\d+/);
    expect(text).toMatch(/bytes_acked:1000 bytes_received:1000/);
    expect(await ok('ss -tln')).toMatch(/LISTEN +0 +\d+ +0\.0\.0\.0:80 +\*:\*/);
    expect(await ok('ss -t state established sport = :7')).toMatch(/ESTAB/);
    expect(await ok('ss -tH state time-wait')).toBe('');
    expect(await ok('ss -s')).toMatch(/^Total: \d+\nTCP: +3 \(/);
    expect(await lab.json('ss -t')).toMatchObject([{ state: 'ESTABLISHED', info: { bytes_received: 1000 } }]);
    expect(await ok('sockstat -l -P tcp')).toMatch(/http +- +tcp4 +\*:80 +\*:\* +LISTEN/);
    expect(await ok('sockstat -c -p 7')).toMatch(/echo\S* +- +tcp4 +10\.0\.0\.2:7 +10\.0\.0\.1:\d+ +ESTABLISHED/);
    const mine = await lab.client();
    await mine.bind(await mine.socket('inet', 'dgram'), { addr: '0.0.0.0', port: 5353 });
    expect(await ok('sockstat -P udp -p 5353')).toMatch(/\d+ +udp4 +\*:5353/);
    expect(await lab.json<unknown[]>('sockstat -u')).toBeInstanceOf(Array);
  });

  it('tcpdump shows what passes, ends after its count, and filters', async () => {
    const mine = await lab.client();
    const watch = async (line: string, traffic: () => Promise<unknown>): Promise<string> => {
      const running = lab.sh(line);
      await eventually(async () => (await mine.table('net.bpf')).length > 0);
      await traffic();
      const ran = await running;
      expect(ran.status).toBe(0);
      return ran.out;
    };
    const host = await lab.client(1);
    const talk = async (): Promise<void> => {
      const fd = await host.socket('inet', 'stream');
      await host.connect(fd, { addr: '10.0.0.2', port: 7 });
      await host.send(fd, bytes('hello'));
      await host.recv(fd, 5);
      await host.closefd(fd);
    };
    const lines = (await watch('tcpdump -i tap0 -c 5 tcp port 7', talk)).trim().split('\n');
    expect(lines).toHaveLength(5);
    expect(lines[0]).toMatch(
      /^\d\d:\d\d:\d\d\.\d{6} IP 10\.0\.0\.1\.\d+ > 10\.0\.0\.2\.7: Flags \[S\], seq \d+, win \d+, options \[mss 1460,/,
    );
    expect(lines[1]).toMatch(/IP 10\.0\.0\.2\.7 > 10\.0\.0\.1\.\d+: Flags \[S\.\], seq \d+, ack \d+, win/);
    expect(lines[3]).toMatch(/Flags \[P\.\], seq 1:6, ack 1, win \d+.*, length 5/);
    const json = await watch('tcpdump -c 2 host 10.0.0.1 and tcp --json', talk);
    expect(
      json
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { if: string }),
    ).toMatchObject([{ if: 'tap0' }, { if: 'tap0' }]);
    const file = path.join(lab.dir, 'x.pcapng');
    await watch(`tcpdump -i tap0 -c 3 -w ${file}`, talk);
    expect(fs.readFileSync(file).readUInt32LE(0)).toBe(0x0a0d0d0a);
    expect((await watch('tcpdump -c 1 -w -', talk)).startsWith('\n\r\r\n')).toBe(true);
    expect(await fails(`tcpdump -c 1 -w ${lab.dir}/no/such`)).toContain('');
  });

  it('tcpdump --ring writes the frames of before', async () => {
    const file = path.join(lab.dir, 'ring.pcapng');
    expect(await fails(`tcpdump --ring -w ${file}`)).toContain('kern.capture.ring_mb=16');
    await ok('sysctl kern.capture.ring_mb=1');
    const host = await lab.client(1);
    await host.connect(await host.socket('inet', 'stream'), { addr: '10.0.0.2', port: 7 });
    expect((await lab.sh(`tcpdump --ring -w ${file}`)).err).toMatch(/^[1-9]\d* packets captured/);
    expect(fs.statSync(file).size).toBeGreaterThan(200);
  });

  it('tcpdump --drops tells why a frame was dropped', async () => {
    const mine = await lab.client();
    const running = lab.sh('tcpdump -i tap0 --drops -c 1');
    await eventually(async () => (await mine.table('net.bpf')).length > 0);
    const host = await lab.client(1);
    const fd = await host.socket('inet', 'dgram');
    await host.sendto(fd, bytes('nobody'), { addr: '10.0.0.2', port: 4444 });
    expect((await running).out).toMatch(/IP 10\.0\.0\.1\.\d+ > 10\.0\.0\.2\.4444: UDP, length 6 \[dropped: udp\.\w+/);
  });

  it('sysctl changes what is logged of one subsystem, while it runs', async () => {
    const traced = (): number => log.filter((line) => line.includes('"subsys":"tcp"')).length;
    const host = await lab.client(1);
    const visit = async (): Promise<void> => {
      const fd = await host.socket('inet', 'stream');
      await host.connect(fd, { addr: '10.0.0.2', port: 7 });
      await host.closefd(fd);
    };
    await visit();
    expect(traced()).toBe(0);
    expect(await ok('sysctl kern.log.tcp=trace')).toBe('kern.log.tcp:  -> trace\n');
    await visit();
    await eventually(() => traced() > 2);
    expect(await fails('sysctl kern.log.tcp=loud')).toContain("'loud' is no value for it");
  });

  it('metrics and netstat -s agree', async () => {
    const text = await ok('metrics tcp');
    expect(text).toContain(`netmod_info{stack="${stack}"} 1`);
    expect(text).toMatch(/# TYPE netmod_tcp_\w+_total counter/);
    expect(await fails('metrics nosuch')).toContain('no group');
  });

  it('top prints what there is', async () => {
    const text = await ok('top -d 1');
    expect(text).toMatch(new RegExp(`^netmod top - stack ${stack} - 0 connections, 0 established, \\d listening\n`));
    expect(text).toMatch(/tap0 +0bit\/s/);
    expect(Object.keys(await lab.json<object>('top -d 1'))).toEqual(['atMs', 'interfaces', 'connections', 'drops']);
  });

  it('kldstat lists the stack, which cannot be unloaded while it is in use', async () => {
    expect(await ok('kldstat')).toContain(`netstack_${stack}`);
    expect(await fails(`kldunload netstack_${stack}`)).toMatch(/in use by .*sockets.*interfaces lo0 tap0/);
    expect((await lab.sh(`kldstat -q -n netstack_${stack}`)).status).toBe(0);
    expect((await lab.sh('kldstat -q -n nope')).status).toBe(1);
  });
});

describe.each(['inet', 'alt'] satisfies StackName[])('commands that need raw sockets, on %s', (stack) => {
  let lab: Lab;
  beforeEach(async () => void (lab = await Lab.open(stack)));
  afterEach(() => lab.close());

  it('ping: answers, summary, JSON lines, and status 1 without an answer', async () => {
    const { status, out } = await lab.sh('ping -c 3 -i 0.01 10.0.0.1');
    expect(status).toBe(0);
    expect(out).toMatch(
      /^PING 10\.0\.0\.1 \(10\.0\.0\.1\): 56 data bytes\n64 bytes from 10\.0\.0\.1: icmp_seq=0 ttl=64 time=[\d.]+ ms\n/,
    );
    expect(out).toContain('3 packets transmitted, 3 packets received, 0.0% packet loss\nround-trip min/avg/max/stddev = ');
    const json = (await lab.sh('ping -c 1 -s 2000 10.0.0.1 --json')).out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(json).toMatchObject([
      { kind: 'reply', bytes: 2008, seq: 0 },
      { transmitted: 1, received: 1 },
    ]);
    const none = await lab.sh('ping -c 1 -W 50 10.0.0.77');
    expect(none).toMatchObject({ status: 1 });
    expect(none.out).toContain('1 packets transmitted, 0 packets received, 100.0% packet loss');
    expect((await lab.sh('ping -o -i 0.01 10.0.0.1')).out).toContain(' 1 packets received');
    await lab.sh('route flush');
    expect((await lab.sh('ping -c 1 -W 10 172.16.0.1')).out).toContain('ping: sendto: network is unreachable (ENETUNREACH)');
  });

  it('ping ends with its summary when it is interrupted', async () => {
    const ended = new AbortController();
    const running = lab.sh('ping -i 0.01 10.0.0.1', ended.signal);
    setTimeout(() => ended.abort(), 100);
    expect((await running).out).toContain('ping statistics');
  });

  it('traceroute reaches the host at the first hop', async () => {
    const { status, out } = await lab.sh('traceroute -q 2 10.0.0.1');
    expect(status).toBe(0);
    expect(out).toMatch(
      /^traceroute to 10\.0\.0\.1 \(10\.0\.0\.1\), 30 hops max, 60 byte packets\n 1 {2}10\.0\.0\.1( {2}[\d.]+ ms){2}\n$/,
    );
    const none = await lab.sh('traceroute -q 1 -m 1 -w 1 10.0.0.77');
    expect(none.status).toBe(1);
  });
});

describe('setfib', () => {
  it('runs a command with another table, where the stack has tables', async () => {
    const lab = await Lab.open('inet');
    const { status, out } = await lab.sh('setfib 0 netstat -rn');
    expect(status).toBe(0);
    expect(out).toContain('default');
    expect((await lab.sh('setfib 60000 route get 10.0.0.1')).status).toBe(1);
    await lab.close();
    const other = await Lab.open('alt');
    expect(await other.sh('setfib 1 netstat -rn')).toMatchObject({ status: 1, err: expect.stringContaining('setfib') });
    await other.close();
  });
});

describe('commands of the kernel, without a stack', () => {
  let lab: Lab;
  beforeEach(async () => void (lab = await Lab.open('none')));
  afterEach(() => lab.close());

  it('show what there is', async () => {
    expect((await lab.sh('ifconfig')).out).toContain('tap0: flags=');
    expect((await lab.sh('netstat -rn')).out).toBe('Routing tables\n');
    expect((await lab.sh('arp -a')).all).toBe('');
    expect((await lab.sh('ss -a')).status).toBe(0);
    expect((await lab.sh('netstat -i')).out).toContain('tap0');
    expect((await lab.sh('kldstat')).out).toContain('kernel');
    expect((await lab.sh('top -d 1')).out).toContain('stack none');
  });

  it('say that there is no stack where one is needed', async () => {
    expect(await lab.sh('ping -c 1 10.0.0.1')).toMatchObject({ status: 1, err: 'netmod ping: there is no stack\n' });
    expect((await lab.sh('route add 10.9.0.0/16 10.0.0.1')).err).toContain('there is no stack');
    expect((await lab.sh('ifconfig tap0 10.0.0.2/24')).err).toContain('there is no stack');
  });

  it('sysctl reads, writes, describes and refuses', async () => {
    expect((await lab.sh('sysctl kern.ostype')).out).toBe('kern.ostype: netmod\n');
    expect((await lab.sh('sysctl -n kern.ostype')).out).toBe('netmod\n');
    expect((await lab.sh('sysctl -N kern.ostype')).out).toBe('kern.ostype\n');
    expect((await lab.sh('sysctl -d kern.ostype')).out).toMatch(/^kern\.ostype: \w/);
    expect((await lab.sh('sysctl -a')).out).toContain('kern.ipc.maxsockbuf: ');
    expect((await lab.sh('sysctl kern.ipc.maxsockbuf=262144')).out).toMatch(/^kern\.ipc\.maxsockbuf: \d+ -> 262144\n$/);
    expect(await lab.json('sysctl kern.ipc.maxsockbuf')).toMatchObject([
      { value: 262144, type: 'int', flags: expect.stringMatching('rw') },
    ]);
    expect(await lab.sh('sysctl kern.ipc.maxsockbuf=many')).toMatchObject({
      status: 1,
      err: expect.stringContaining("'many' is no value"),
    });
    expect((await lab.sh('sysctl kern.ostype=x')).err).toContain('is read only');
    expect((await lab.sh('sysctl kern.ostyp')).err).toContain("did you mean 'kern.ostype'?");
    expect((await lab.sh('sysctl kern.proc')).out).toContain('kern.proc: [');
  });

  it('kenv gets, sets and forgets', async () => {
    expect((await lab.sh('kenv hint.color=green')).out).toBe('hint.color="green"\n');
    expect((await lab.sh('kenv hint.color')).out).toBe('green\n');
    expect((await lab.sh('kenv')).out).toContain('hint.color="green"');
    expect(await lab.json('kenv')).toMatchObject({ 'hint.color': 'green' });
    expect((await lab.sh('kenv -u hint.color')).status).toBe(0);
    expect(await lab.sh('kenv hint.color')).toMatchObject({ status: 1, out: '' });
    expect(await lab.sh('kenv -q hint.color')).toMatchObject({ status: 1, all: '' });
  });

  it('uuidgen makes different ones, in order', async () => {
    const uuids = await lab.json<string[]>('uuidgen -n 3');
    expect(new Set(uuids).size).toBe(3);
    for (const uuid of uuids) expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-1[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it('kldload says what it cannot find', async () => {
    expect(await lab.sh('kldload nosuch')).toMatchObject({ status: 1, err: expect.stringContaining('nosuch') });
    expect(await lab.sh('kldunload nosuch')).toMatchObject({ status: 1, err: expect.stringContaining('not loaded') });
  });
});

describe.each(['inet', 'alt', 'none'] satisfies StackName[])('--json on %s', (stack) => {
  let lab: Lab;
  beforeEach(async () => void (lab = await Lab.open(stack)));
  afterEach(() => lab.close());

  const WHOLE = [
    ...[
      'ifconfig',
      'ifconfig tap0',
      'ifconfig -l',
      'ifconfig -C',
      'route show',
      'arp -a',
      'netstat',
      'netstat -a',
      'netstat -i',
      'netstat -r',
    ],
    ...[
      'netstat -L',
      'netstat -s',
      'netstat -m',
      'netstat -B',
      'ss -ai',
      'ss -s',
      'sockstat',
      'sysctl -a',
      'sysctl kern.proc',
      'kldstat',
    ],
    ...['kenv', 'kenv a=b', 'uuidgen', 'metrics'],
  ];
  it.each(WHOLE)('%s is one value', async (line) => {
    const { status, out, err } = await lab.sh(`${line} --json`);
    expect({ status, err }).toEqual({ status: 0, err: '' });
    expect(typeof JSON.parse(out)).toBe('object');
  });

  it.each(['netstat -w 1 -q 1', 'top -d 1', 'tcpdump -D'])('%s is a value a line', async (line) => {
    const { status, out } = await lab.sh(`${line} --json`);
    expect(status).toBe(0);
    const lines = out.trim().split('\n');
    expect(lines.length).toBeGreaterThan(0);
    for (const each of lines) expect(typeof JSON.parse(each)).toBe('object');
  });
});
