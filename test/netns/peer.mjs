/**
 * The other side, on Linux's own stack: run inside a namespace as `node peer.mjs COMMAND ARGS...`; prints one line of JSON. Data is a
 * fixed pattern, so that both directions can be compared byte by byte.
 */
import { createHash } from 'node:crypto';
import dgram from 'node:dgram';
import http from 'node:http';
import net from 'node:net';

/** SHA-256 of the first `n` bytes that `/bytes/N` must send: byte i is the top byte of 2654435761 * (i mod 65521) in 32 bits. */
function bytesHash(n) {
  const period = 65521;
  const block = Buffer.allocUnsafe(period);
  for (let i = 0; i < period; i++) block[i] = Math.imul(2654435761, i) >>> 24;
  const hash = createHash('sha256');
  for (let left = n; left > 0; left -= period) hash.update(left >= period ? block : block.subarray(0, left));
  return hash.digest('hex');
}

/** `n` bytes from position `at` of a pattern whose period (16381, a prime) is no multiple of any block size. */
function pattern(at, n) {
  const out = Buffer.allocUnsafe(n);
  for (let i = 0; i < n; i++) {
    const v = (at + i) % 16381;
    out[i] = (v ^ (v >>> 7)) & 0xff;
  }
  return out;
}

const BIG = pattern(0, 16381 * 8);
function slice(at, n) {
  const off = at % 16381;
  return BIG.subarray(off, off + Math.min(n, BIG.length - off));
}

function request(url, options, body) {
  return new Promise((resolve, reject) => {
    const req = http.request(url, options, (res) => {
      const hash = createHash('sha256');
      const head = [];
      let length = 0;
      res.on('data', (chunk) => {
        hash.update(chunk);
        if (length < 65536) head.push(chunk);
        length += chunk.length;
      });
      res.on('error', reject);
      res.on('end', () =>
        resolve({
          status: res.statusCode,
          length,
          announced: Number(res.headers['content-length'] ?? -1),
          sha256: hash.digest('hex'),
          text: length < 65536 ? Buffer.concat(head).toString('latin1') : '',
          localPort: req.socket.localPort,
        }),
      );
    });
    req.on('error', reject);
    if (body) body(req);
    else req.end();
  });
}

/** Writes `total` bytes of the pattern to a stream, as it takes them. */
function pump(stream, total, onChunk = () => undefined) {
  let at = 0;
  const more = () => {
    while (at < total) {
      const chunk = slice(at, total - at);
      at += chunk.length;
      onChunk(chunk);
      if (!stream.write(chunk)) {
        stream.once('drain', more);
        return;
      }
    }
    stream.end();
  };
  more();
}

const commands = {
  /** bytes BASE N [PARALLEL]: fetches BASE/bytes/N, and says whether length and content are right. */
  async bytes(base, n, parallel = '1') {
    const agent = new http.Agent({ keepAlive: false });
    const all = await Promise.all(Array.from({ length: Number(parallel) }, () => request(`${base}/bytes/${n}`, { agent })));
    const want = bytesHash(Number(n));
    const right = all.filter((r) => r.status === 200 && r.length === Number(n) && r.announced === Number(n) && r.sha256 === want);
    return { all: all.length, right: right.length, lengths: [...new Set(all.map((r) => r.length))] };
  },

  /** keepalive URL COUNT: requests one after the other on one connection. */
  async keepalive(url, count) {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set();
    const statuses = new Set();
    for (let i = 0; i < Number(count); i++) {
      const { status, localPort } = await request(url, { agent });
      statuses.add(status);
      ports.add(localPort);
    }
    agent.destroy();
    return { connections: ports.size, statuses: [...statuses] };
  },

  /** put URL BYTES */
  async put(url, bytes) {
    const hash = createHash('sha256');
    const options = { method: 'POST', headers: { 'content-length': bytes } };
    const answer = await request(url, options, (req) => pump(req, Number(bytes), (chunk) => hash.update(chunk)));
    return { status: answer.status, text: answer.text, sent: hash.digest('hex') };
  },

  /** tcpecho HOST PORT BYTES: all of it comes back, and the end after it (half close). */
  tcpecho(host, port, bytes) {
    const total = Number(bytes);
    return new Promise((resolve, reject) => {
      const socket = net.connect({ host, port: Number(port), allowHalfOpen: true });
      let at = 0;
      socket.on('error', reject);
      socket.on('connect', () => pump(socket, total));
      socket.on('data', (chunk) => {
        for (let done = 0; done < chunk.length;) {
          const want = slice(at, chunk.length - done);
          if (!chunk.subarray(done, done + want.length).equals(want)) {
            socket.destroy();
            reject(new Error(`byte ${at} or after differs`));
            return;
          }
          at += want.length;
          done += want.length;
        }
      });
      socket.on('end', () => {
        socket.destroy();
        resolve({ echoed: at });
      });
    });
  },

  /** udpecho HOST PORT SIZE...: one datagram of each size, each answered by its copy. */
  async udpecho(host, port, ...sizes) {
    const socket = dgram.createSocket('udp4');
    const echoed = [];
    for (const size of sizes.map(Number)) {
      const sent = pattern(size, size);
      for (let attempt = 0; attempt < 3; attempt++) {
        const got = await new Promise((resolve, reject) => {
          const timer = setTimeout(() => resolve(null), 1000);
          socket.once('message', (msg) => {
            clearTimeout(timer);
            resolve(msg);
          });
          socket.send(sent, Number(port), host, (err) => err && reject(err));
        });
        if (got === null) continue;
        echoed.push(got.equals(sent) ? size : -size);
        break;
      }
    }
    socket.close();
    return { echoed };
  },

  /** udpburst HOST PORT BURSTS: datagrams sent together, in runs of equal length and not; what comes back is what was sent, in order. */
  async udpburst(host, port, bursts) {
    const socket = dgram.createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
    await new Promise((resolve) => socket.connect(Number(port), host, resolve));
    const runs = [
      [64, 20],
      [0, 1],
      [700, 7],
      [64, 3],
      [63, 1],
      [1472, 12],
      [1, 5],
    ];
    let wrong = 0;
    for (let burst = 0; burst < Number(bursts); burst++) {
      const sent = runs.flatMap(([size, n], run) =>
        Array.from({ length: n }, (_, i) => pattern(burst * 997 + run * 31 + i, size)),
      );
      const got = await new Promise((resolve) => {
        const all = [];
        const timer = setTimeout(() => resolve(all), 3000);
        socket.removeAllListeners('message');
        socket.on('message', (msg) => {
          all.push(msg);
          if (all.length < sent.length) return;
          clearTimeout(timer);
          resolve(all);
        });
        for (const msg of sent) socket.send(msg);
      });
      if (got.length !== sent.length || got.some((msg, i) => !msg.equals(sent[i]))) wrong++;
    }
    socket.close();
    return { wrong };
  },

  /** udpto HOST PORT: a connected datagram socket to a closed port hears of it. */
  udpto(host, port) {
    return new Promise((resolve) => {
      const socket = dgram.createSocket('udp4');
      const timer = setTimeout(() => finish(null), 3000);
      const finish = (code) => {
        clearTimeout(timer);
        socket.close();
        resolve({ code });
      };
      socket.on('error', (err) => finish(err.code));
      socket.connect(Number(port), host, () => socket.send('x'));
    });
  },

  /** connect HOST PORT: the error's code, or null. */
  connect(host, port) {
    return new Promise((resolve) => {
      const started = performance.now();
      const finish = (code) => resolve({ code, ms: Math.round(performance.now() - started) });
      const socket = net.connect({ host, port: Number(port) });
      socket.on('error', (err) => finish(err.code));
      socket.on('connect', () => {
        socket.destroy();
        finish(null);
      });
    });
  },

  /** chargen HOST PORT BYTES: the first bytes of the stream against RFC 864's pattern of 72 characters a line. */
  chargen(host, port, bytes) {
    const total = Number(bytes);
    return new Promise((resolve, reject) => {
      const socket = net.connect({ host, port: Number(port) });
      let at = 0;
      socket.on('error', reject);
      socket.on('data', (chunk) => {
        for (const byte of chunk.subarray(0, total - at)) {
          const col = at % 74;
          const row = Math.floor(at / 74);
          const want = col === 72 ? 13 : col === 73 ? 10 : 32 + ((row + col) % 95);
          if (byte !== want) {
            socket.destroy();
            resolve({ matched: at, got: byte, want });
            return;
          }
          at++;
        }
        if (at < total) return;
        socket.destroy();
        resolve({ matched: at });
      });
      socket.on('end', () => resolve({ matched: at }));
    });
  },

  /** discard HOST PORT BYTES: everything is taken, nothing comes back, the end is answered by an end. */
  discard(host, port, bytes) {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ host, port: Number(port), allowHalfOpen: true });
      let back = 0;
      socket.on('error', reject);
      socket.on('connect', () => pump(socket, Number(bytes)));
      socket.on('data', (chunk) => (back += chunk.length));
      socket.on('end', () => resolve({ back }));
    });
  },

  /** conns HOST PORT COUNT: that many connections at once, each echoes its own line. */
  async conns(host, port, count) {
    const one = (i) =>
      new Promise((resolve, reject) => {
        const text = `connection ${i}\n`;
        const socket = net.connect({ host, port: Number(port) });
        let got = '';
        socket.on('error', reject);
        socket.on('connect', () => socket.write(text));
        socket.on('data', (chunk) => {
          got += chunk;
          if (got === text) resolve(socket);
        });
      });
    const sockets = await Promise.all(Array.from({ length: Number(count) }, (_, i) => one(i)));
    const open = sockets.length;
    for (const socket of sockets) socket.destroy();
    return { open };
  },
};

const [name, ...args] = process.argv.slice(2);
try {
  console.log(JSON.stringify(await commands[name](...args)));
  process.exit(0);
} catch (err) {
  console.error(err);
  process.exit(1);
}
