// @ts-check
/**
 * The tests, by name. Each is one run of a client (`c/client.c`, `wrk`, or a script of this folder) against one target, and a way to read what it
 * printed.
 */

/**
 * @typedef {Record<string, number>} Printed what a client printed
 * @typedef {object} Test
 * @property {string} name
 * @property {string} what
 * @property {string} unit
 * @property {'more' | 'less'} better
 * @property {'plain' | 'nooffload' | 'loss' | 'memory'} wire how the target is set up (`peers.mjs`)
 * @property {'client' | 'wrk' | 'gc' | 'verify'} kind
 * @property {string} value the printed field that counts
 * @property {'bytes' | 'n' | ''} per what the CPU is divided by
 * @property {readonly string[]} [args] of the client: its mode, port, and options
 * @property {number} [conns]
 * @property {number} [leastSeconds] a shorter run would measure mostly how connections come up
 * @property {true} [slow] a quick run leaves it out unless it is named
 * @property {1 | 2} [cores] pinned: both processes to one core, or one each
 * @property {'median' | 'max'} [aggregate]
 * @property {readonly string[]} [fields] shown beside the value
 * @property {readonly string[]} [only] targets that it makes sense for; all by default
 * @property {readonly string[]} [without] targets that cannot do it
 */

/** Loses for good what the wire loses, and does not heed a window. */
const NO_RECOVERY = ['floor'];

/** @param {string} name @param {string} what @param {Test['wire']} wire @param {readonly string[]} args @returns {Test} */
function bulk(name, what, wire, args) {
  const fields = args.includes('1000') ? ['jain', 'starved'] : ['retrans'];
  const without = wire === 'loss' ? NO_RECOVERY : [];
  return { name, what, unit: 'Gbit/s', better: 'more', wire, kind: 'client', value: 'gbps', per: 'bytes', args, fields, without };
}

/** @param {string} name @param {string} what @param {number} conns @returns {Test} */
function http(name, what, conns) {
  return {
    name,
    what,
    unit: '/s',
    better: 'more',
    wire: 'plain',
    kind: 'wrk',
    value: 'rate',
    per: 'n',
    conns,
    fields: ['p99_us'],
  };
}

/** @param {string} proto @param {string} port @param {1 | 2} cores @returns {Test} */
function pingPong(proto, port, cores) {
  const where = cores === 1 ? 'both on one core' : 'a core each';
  return {
    name: `${proto}-pp-${cores === 1 ? '1core' : '2cores'}`,
    what: `${proto.toUpperCase()} echo ping-pong, p50, ${where}`,
    unit: 'us',
    better: 'less',
    wire: 'plain',
    kind: 'client',
    value: 'p50_us',
    per: 'n',
    args: [proto, port],
    cores,
    fields: ['p99_us', 'p999_us'],
  };
}

/** @type {readonly Test[]} */
export const TESTS = [
  {
    name: 'bytes',
    what: 'bytes right: SHA-256 through echo, chargen, http; UDP answers',
    unit: 'MB',
    better: 'more',
    wire: 'plain',
    kind: 'verify',
    value: 'megabytes',
    per: '',
    without: NO_RECOVERY,
  },
  bulk('in1', 'TCP in, 1 connection', 'plain', ['send', '9']),
  bulk('in8', 'TCP in, 8 connections', 'plain', ['send', '9', '-c', '8']),
  bulk('in1000', 'TCP in, 1000 connections', 'plain', ['send', '9', '-c', '1000', '-b', '16384']),
  bulk('out1', 'TCP out, 1 connection', 'plain', ['receive', '19']),
  bulk('out8', 'TCP out, 8 connections', 'plain', ['receive', '19', '-c', '8']),
  bulk('in1-nooffload', 'TCP in, 1, no offloads', 'nooffload', ['send', '9']),
  bulk('in8-nooffload', 'TCP in, 8, no offloads', 'nooffload', ['send', '9', '-c', '8']),
  bulk('out1-nooffload', 'TCP out, 1, no offloads', 'nooffload', ['receive', '19']),
  bulk('out8-nooffload', 'TCP out, 8, no offloads', 'nooffload', ['receive', '19', '-c', '8']),
  http('http32', 'HTTP hello, 32 connections', 32),
  http('http1000', 'HTTP hello, 1000 connections', 1000),
  { ...http('http10000', 'HTTP hello, 10,000 connections', 10_000), leastSeconds: 3, slow: true },
  {
    name: 'connect8',
    what: 'connect, GET, close, 8 at once',
    unit: '/s',
    better: 'more',
    wire: 'plain',
    kind: 'client',
    value: 'rate',
    per: 'n',
    args: ['connect', '80', '-c', '8', '-i', '8'],
    fields: ['p99_us'],
  },
  {
    name: 'udp64',
    what: 'UDP echo, 64 outstanding',
    unit: '/s',
    better: 'more',
    wire: 'plain',
    kind: 'client',
    value: 'rate',
    per: 'n',
    args: ['udp', '7', '-w', '64'],
    fields: ['lost'],
  },
  pingPong('tcp', '7', 1),
  pingPong('udp', '7', 1),
  pingPong('icmp', '0', 1),
  pingPong('tcp', '7', 2),
  pingPong('udp', '7', 2),
  pingPong('icmp', '0', 2),
  bulk('in-loss1', 'TCP in, 1 % loss, 0 ms', 'loss', ['send', '9']),
  bulk('out-loss1', 'TCP out, 1 % loss, 0 ms', 'loss', ['receive', '19']),
  {
    name: 'memory',
    what: 'memory of an idle connection (RSS)',
    unit: 'B',
    better: 'less',
    wire: 'memory',
    kind: 'client',
    value: 'bytes_per_conn',
    per: '',
    args: ['idle', '7', '-i', '8'],
    fields: ['up', 'alive', 'idle_cpu_percent'],
    // What the kernel keeps for a connection is in no process.
    only: ['node', 'gvisor', 'inet', 'alt'],
  },
  {
    name: 'gc',
    what: 'longest garbage-collection pause under load',
    unit: 'ms',
    better: 'less',
    wire: 'plain',
    kind: 'gc',
    value: 'longest',
    per: '',
    aggregate: 'max',
    fields: ['pauses', 'total'],
    only: ['node', 'inet', 'alt'],
  },
];

/** @param {string} name */
export function findTest(name) {
  return TESTS.find((test) => test.name === name);
}
