/**
 * Node's own `http` on the kernel's sockets. The server side is any `http.Server`, which takes streams by its 'connection' event; the
 * client side is an agent whose connections are ours. Nothing of `http` is changed.
 */
import http from 'node:http';
import type { Duplex } from 'node:stream';
import type { Lookup } from './connect.ts';
import type { ConnectOptions, ListenOptions, Net, NetServer, ServerOptions } from './net.ts';

/**
 * Lets `server` answer on a listener of `net`. Returns the listener, which is listening (or tells by 'error' why not); closing
 * it leaves `server` as it is.
 */
export function listenHttp(net: Net, server: http.Server, listen: ListenOptions, options: ServerOptions = {}): NetServer {
  // A request may end its side early and still wants the answer, so http keeps half-open connections.
  const listener = net.createServer({ noDelay: true, ...options, allowHalfOpen: true });
  listener.on('connection', (socket) => server.emit('connection', socket));
  return listener.listen(listen);
}

/** An agent for `http.request({ agent })` that connects through `net`. */
export class NetAgent extends http.Agent {
  readonly #net: Net;

  constructor(net: Net, options: http.AgentOptions = {}) {
    super(options);
    this.#net = net;
  }

  /** Called by `http.request`; the name is Node's. */
  override createConnection(options: http.ClientRequestArgs): Duplex {
    const { host, port, timeout, localAddress, family, lookup } = options;
    const { localPort, noDelay, keepAlive, keepAliveInitialDelay } = options as ConnectOptions;
    return this.#net.connect({
      port: port ?? 80,
      host: host ?? 'localhost',
      ...(timeout === undefined ? {} : { timeout }),
      ...(localAddress === undefined ? {} : { localAddress }),
      ...(family === undefined ? {} : { family }),
      ...(lookup === undefined ? {} : { lookup: lookup as Lookup }),
      ...(localPort === undefined ? {} : { localPort }),
      ...(noDelay === undefined ? {} : { noDelay }),
      ...(keepAlive === undefined ? {} : { keepAlive }),
      ...(keepAliveInitialDelay === undefined ? {} : { keepAliveInitialDelay }),
    });
  }
}
