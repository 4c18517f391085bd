/**
 * Node's `net`, `dgram` and `http` as a host of a simulation has them. `http` is Node's own with other sockets under it: servers listen on the
 * host, and requests leave from it unless they bring an agent.
 */
import http from 'node:http';
import type { Kernel } from '../kern/kernel.ts';
import { isIP } from '../node/address.ts';
import { type ConnectArgs, type Lookup, type SocketOptions, normalizeConnect } from '../node/connect.ts';
import { type Dgram, DgramSocket } from '../node/dgram.ts';
import { NetAgent } from '../node/http.ts';
import { type ConnectOptions, type Net, type NetServer, NetSocket, createNet } from '../node/net.ts';

/** `createNet`, with names that `lookup` knows. */
export function hostNet(kernel: Kernel, lookup: Lookup): Net {
  class Socket extends NetSocket {
    constructor(options: SocketOptions = {}) {
      super(kernel, options);
    }

    override connect(...args: ConnectArgs): this {
      const { options, callback } = normalizeConnect(args);
      const named: ConnectOptions = { lookup, ...options };
      return callback === null ? super.connect(named) : super.connect(named, callback);
    }
  }
  const connect = (...args: ConnectArgs): NetSocket => new Socket(normalizeConnect(args).options).connect(...args);
  return { ...createNet(kernel), Socket, connect, createConnection: connect };
}

/** `createDgram`, with names that `lookup` knows as destinations. */
export function hostDgram(kernel: Kernel, lookup: Lookup): Dgram {
  class Socket extends DgramSocket {
    override send(...args: Parameters<DgramSocket['send']>): void {
      const [msg, ...rest] = args;
      if (this.#named(rest)) super.send(msg, ...rest);
    }

    override connect(...args: unknown[]): void {
      if (this.#named(args)) super.connect(...args);
    }

    /** Puts an address in the place of a name; false if nobody has that name, which the callback is told, or who hears of errors. */
    #named(args: unknown[]): boolean {
      const at = args.findIndex((arg) => typeof arg === 'string');
      const name = args[at];
      if (typeof name !== 'string' || name === '' || name === 'localhost' || isIP(name) !== 0) return true;
      let error: Error | null = null;
      lookup(name, { family: 4, all: false }, (err, address) => {
        error = err;
        args[at] = address;
      });
      if (error === null) return true;
      const done = args.findLast((arg) => typeof arg === 'function') as ((err: Error) => void) | undefined;
      process.nextTick(() => (done === undefined ? this.emit('error', error) : done(error as unknown as Error)));
      return false;
    }
  }
  return {
    Socket,
    createSocket: (type, onMessage) => new Socket(kernel, typeof type === 'string' ? { type } : type, onMessage ?? null),
  };
}

/** Node's check of slow clients goes by the host's clock, where no time passes; longest interval of a timer. */
const NEVER_MS = 0x7fffffff;

/** An `http.Server` whose listener is one of the simulation. */
class HostHttpServer extends http.Server {
  readonly #listener: NetServer;

  constructor(net: Net, options: http.ServerOptions, onRequest: http.RequestListener | undefined) {
    super({ ...options, connectionsCheckingInterval: NEVER_MS }, onRequest);
    this.#listener = net.createServer({
      noDelay: options.noDelay ?? true,
      keepAlive: options.keepAlive ?? false,
      allowHalfOpen: true,
    });
    this.#listener.on('connection', (socket) => this.emit('connection', socket));
    for (const event of ['listening', 'error', 'close', 'drop']) {
      this.#listener.on(event, (...args: unknown[]) => this.emit(event, ...args));
    }
  }

  override listen(...args: unknown[]): this {
    this.#listener.listen(...args);
    return this;
  }

  override close(callback?: (err?: Error) => void): this {
    this.#listener.close(callback);
    this.closeIdleConnections();
    stopChecking(this);
    return this;
  }

  override address(): ReturnType<http.Server['address']> {
    return this.#listener.address();
  }

  override getConnections(callback: (error: Error | null, count: number) => void): this {
    this.#listener.getConnections(callback);
    return this;
  }
}

/** Node keeps the timer of its check on the server, by a symbol of its own; where it does not, the timer never goes off. */
function stopChecking(server: http.Server): void {
  const key = Object.getOwnPropertySymbols(server).find((symbol) => symbol.description?.includes('connectionsCheckingInterval'));
  if (key !== undefined) clearInterval((server as unknown as Record<symbol, NodeJS.Timeout>)[key]);
}

// Node defines `listening` as an accessor of the prototype; a class may not override it as one, TypeScript says.
function listeningOf(server: HostHttpServer): boolean {
  return server.address() !== null;
}

/** What `import http from 'node:http'` is on this host, and the agent that its requests use. */
export function hostHttp(net: Net): { http: typeof http; agent: NetAgent } {
  class HostAgent extends NetAgent {
    constructor(options: http.AgentOptions = {}) {
      super(net, options);
    }
  }
  const agent = new HostAgent({ keepAlive: true });
  const createServer = (first?: http.ServerOptions | http.RequestListener, second?: http.RequestListener): http.Server => {
    const [options, listener] = typeof first === 'function' ? [{}, first] : [first ?? {}, second];
    const server = new HostHttpServer(net, options, listener);
    Object.defineProperty(server, 'listening', { get: () => listeningOf(server) });
    return server;
  };
  const withAgent = (args: readonly unknown[]): unknown[] => {
    const at = typeof args[0] === 'string' || args[0] instanceof URL ? 1 : 0;
    const options = typeof args[at] === 'object' && args[at] !== null ? (args[at] as http.RequestOptions) : null;
    const rest = args.slice(options === null ? at : at + 1);
    return [...args.slice(0, at), { agent, ...options }, ...rest];
  };
  const request = (...args: unknown[]): http.ClientRequest => http.request(...(withAgent(args) as [http.RequestOptions]));
  const get = (...args: unknown[]): http.ClientRequest => http.get(...(withAgent(args) as [http.RequestOptions]));
  return { http: { ...http, createServer, request, get, Agent: HostAgent, globalAgent: agent } as typeof http, agent };
}
