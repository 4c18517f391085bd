/**
 * A reference: Node's own net and dgram on the kernel's sockets, with the ports of `c/server.c`: echo 7, discard 9, chargen 19, HTTP's
 * five-byte answer 80.
 */
import dgram from 'node:dgram';
import net from 'node:net';
import { chargenText } from '../lib/patterns.mjs';

const ANSWER = Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello');
const TEXT = chargenText(9);
const BACKLOG = 4096;

function serve(port, handle) {
  const server = net.createServer({ noDelay: true, allowHalfOpen: false }, (socket) => {
    socket.on('error', () => socket.destroy());
    handle(socket);
  });
  server.listen({ port, host: '0.0.0.0', backlog: BACKLOG });
}

serve(7, (socket) => socket.pipe(socket));
serve(9, (socket) => socket.resume());
serve(19, (socket) => {
  const fill = () => {
    while (socket.write(TEXT));
  };
  socket.on('drain', fill);
  socket.resume();
  fill();
});
serve(80, (socket) => {
  let head = '';
  socket.on('data', (bytes) => {
    head += bytes.latin1Slice();
    for (let end; (end = head.indexOf('\r\n\r\n')) >= 0; head = head.slice(end + 4)) socket.write(ANSWER);
  });
});

const udp = dgram.createSocket('udp4');
udp.on('message', (bytes, from) => udp.send(bytes, from.port, from.address));
udp.bind(7, '0.0.0.0', () => process.stdout.write('ready\n'));
