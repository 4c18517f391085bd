// @ts-check
/**
 * Are the bytes right? Runs beside a target, moves `MEGABYTES` through each of its services both ways and compares digests; prints one JSON line:
 * `node verify.mjs ADDRESS MEGABYTES [HTTP-PORT]`. HTTP's `/bytes/N` and `/sink` are asked only of a target that has them.
 */
import { createHash } from 'node:crypto';
import dgram from 'node:dgram';
import http from 'node:http';
import net from 'node:net';
import { CHARGEN_PERIOD, bytesPattern, chargenText, noise } from './lib/patterns.mjs';

const [, , host = '', megabytes = '8', httpPort = ''] = process.argv;
const BYTES = Number(megabytes) * 1e6;
const DATAGRAMS = 1000;
const DATAGRAM_MAX = 1472;
const REQUESTS = 1000;

/** @param {boolean} right @param {string} what */
function check(right, what) {
  if (!right) throw new Error(`wrong bytes: ${what}`);
}

/** @param {Buffer | string} bytes */
function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}

/** @param {number} port @returns {Promise<net.Socket>} */
function connect(port) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port, host, noDelay: true }, () => resolve(socket));
    socket.once('error', reject);
  });
}

/** Reads exactly `length` bytes and their digest, then hangs up. @param {net.Socket} socket @param {number} length @returns {Promise<string>} */
function digestOf(socket, length) {
  const hash = createHash('sha256');
  let left = length;
  return new Promise((resolve, reject) => {
    socket.on('data', (bytes) => {
      const take = bytes.length > left ? bytes.subarray(0, left) : bytes;
      hash.update(take);
      left -= take.length;
      if (left > 0) return;
      socket.destroy();
      resolve(hash.digest('hex'));
    });
    socket.once('close', () => reject(new Error(`closed with ${left} bytes missing`)));
    socket.once('error', reject);
  });
}

async function echo() {
  const sent = noise(BYTES, 864);
  const socket = await connect(7);
  const got = digestOf(socket, BYTES);
  socket.write(sent);
  check((await got) === sha256(sent), 'TCP echo');
  return 2 * BYTES;
}

async function chargen() {
  const text = chargenText(Math.ceil(BYTES / CHARGEN_PERIOD)).subarray(0, BYTES);
  check((await digestOf(await connect(19), BYTES)) === sha256(text), 'chargen');
  return BYTES;
}

/** Many requests in one write: as many answers, each with its five bytes. */
async function hello() {
  const socket = await connect(80);
  let text = '';
  await new Promise((resolve, reject) => {
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      if (text.split('\r\n\r\nhello').length > REQUESTS) resolve(undefined);
    });
    socket.once('close', () => reject(new Error('hello: closed early')));
    socket.once('error', reject);
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(REQUESTS));
  });
  socket.destroy();
  const answer = text.slice(0, text.indexOf('\r\n\r\nhello') + 9);
  check(answer.startsWith('HTTP/1.1 200 ') && text === answer.repeat(REQUESTS), 'pipelined HTTP');
  return text.length;
}

/** @param {string} method @param {string} path @param {Buffer} [body] @returns {Promise<Buffer>} */
function fetchBytes(method, path, body) {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'Content-Length': body.length };
    const req = http.request({ host, port: Number(httpPort), method, path, headers, agent: false }, (res) => {
      /** @type {Buffer[]} */
      const parts = [];
      res.on('data', (part) => parts.push(part));
      res.on('end', () => resolve(Buffer.concat(parts)));
      res.on('error', reject);
    });
    req.on('error', reject);
    req.end(body);
  });
}

async function web() {
  const digest = sha256(bytesPattern(BYTES));
  check(sha256(await fetchBytes('GET', `/bytes/${BYTES}`)) === digest, '/bytes/N');
  check((await fetchBytes('GET', `/bytes/${BYTES}?sha256`)).toString().trim() === digest, '/bytes/N?sha256');
  const body = noise(BYTES, 9112);
  const answer = JSON.parse((await fetchBytes('PUT', '/sink', body)).toString());
  check(answer.bytes === BYTES && answer.sha256 === sha256(body), '/sink');
  return 2 * BYTES;
}

/** Each datagram's answer is the datagram. Lost ones are asked again, a few times. */
async function udp() {
  const socket = dgram.createSocket('udp4');
  const bytes = noise(DATAGRAM_MAX + DATAGRAMS, 768);
  await new Promise((resolve) => socket.connect(7, host, () => resolve(undefined)));
  let total = 0;
  for (let i = 0; i < DATAGRAMS; i++) {
    const sent = bytes.subarray(i, i + 1 + ((i * 7) % DATAGRAM_MAX));
    const got = await ask(socket, sent);
    check(got !== null && got.equals(sent), `UDP echo of ${sent.length} bytes`);
    total += 2 * sent.length;
  }
  socket.close();
  return total;
}

/** @param {dgram.Socket} socket @param {Buffer} sent @returns {Promise<Buffer | null>} */
function ask(socket, sent) {
  return new Promise((resolve) => {
    let tries = 5;
    socket.removeAllListeners('message');
    const again = () => {
      if (tries-- === 0) return end(null);
      socket.send(sent);
    };
    /** @param {Buffer | null} got */
    const end = (got) => {
      clearInterval(timer);
      resolve(got);
    };
    const timer = setInterval(again, 500);
    socket.once('message', (got) => end(got));
    again();
  });
}

try {
  let total = 0;
  for (const part of [echo, chargen, hello, udp, ...(httpPort === '' ? [] : [web])]) total += await part();
  process.stdout.write(`${JSON.stringify({ megabytes: total / 1e6 })}\n`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
