/**
 * `show-defaults.mjs SOCKET`: asks a kernel that was booted without a network stack what it answers by itself, over its control socket, and
 * shows each call beside its answer. Status 0 only if every answer is the expected one.
 */
import net from 'node:net';
import { createInterface } from 'node:readline';

const socket = net.connect(process.argv[2] ?? '');
const waiting = new Map();
const state = { greet: () => undefined, next: 1, wrong: 0 };
const greeting = new Promise((resolve) => (state.greet = resolve));

socket.on('error', (err) => {
  console.error(`control socket: ${err.message}`);
  process.exit(1);
});
createInterface({ input: socket }).on('line', (line) => {
  const message = JSON.parse(line);
  const settle = waiting.get(message.id) ?? state.greet;
  waiting.delete(message.id);
  settle(message);
});

function call(name, ...args) {
  const id = state.next++;
  socket.write(`${JSON.stringify({ id, call: name, args })}\n`);
  return new Promise((resolve) => waiting.set(id, resolve));
}

/** Makes a call and shows it; `expected` is an errno, or a test of the answer. */
async function show(expected, what, name, ...args) {
  const answer = await call(name, ...args);
  const ok = typeof expected === 'string' ? answer.errno === expected : answer.errno === undefined && expected(answer.ret);
  if (!ok) state.wrong++;
  const text = answer.errno ?? JSON.stringify(answer.ret ?? 'done');
  console.log(
    `  ${`${name}(${args.map((a) => JSON.stringify(a)).join(', ')})`.padEnd(58)} ${text}${ok ? '' : '   UNEXPECTED'}   ${what}`,
  );
  return answer.ret;
}

const any = () => true;
const base64 = (text) => Buffer.from(text).toString('base64');

const hello = await greeting;
console.log(`  stack: ${hello.stack}; system calls: ${hello.calls.length}`);
await show((v) => v === 'none', 'no stack holds the slot', 'sysctl', 'kern.netstack.name');
await show((v) => v === 0, 'so a driver turns off what needs one', 'sysctl', 'kern.netstack.capabilities');
await show('EAFNOSUPPORT', 'the family comes with a stack', 'socket', 'inet', 'stream', 0);
await show('EAFNOSUPPORT', '', 'socket', 'inet6', 'dgram', 0);
await show('ENOSYS', 'reserved, and absent until a stack brings it', 'setfib', 1);
await show((v) => v.length === 1, 'uuids work, with a random node', 'uuidgen', 1);

console.log('  local sockets are the kernel’s own:');
const server = await show(any, '', 'socket', 'local', 'stream', 0);
await show(any, '', 'bind', server, { path: '/demo' });
await show(any, '', 'listen', server, 1);
await show('EOPNOTSUPP', 'no stack answers interface requests; the protocol does not either', 'ioctl', server, 'SIOCGIFCONF', {});
const accepting = call('accept', server);
const client = await show(any, '', 'socket', 'local', 'stream', 0);
await show(any, '', 'connect', client, { path: '/demo' });
const accepted = (await accepting).ret?.fd;
await show((n) => n === 5, '', 'send', client, base64('hello'));
await show((v) => v.data === base64('hello'), 'hello', 'recv', accepted, 100);
socket.end();
console.log(state.wrong === 0 ? '  all as documented' : `  ${state.wrong} unexpected answers`);
process.exitCode = state.wrong === 0 ? 0 : 1;
