/** Node's `net` over a kernel of this project: `createNet(kernel)` is what `import net from 'node:net'` is over the host's. */
import type { Kernel } from '../kern/kernel.ts';
import { isIP, isIPv4, isIPv6 } from './address.ts';
import type { ConnectArgs, ConnectOptions, SocketOptions } from './connect.ts';
import { normalizeConnect } from './connect.ts';
import { NetServer, type ServerOptions } from './server.ts';
import { NetSocket } from './socket.ts';

export type { AddressInfo } from './address.ts';
export type { ConnectOptions, SocketOptions } from './connect.ts';
export type { ListenOptions, ServerOptions } from './server.ts';
export { NetServer } from './server.ts';
export { NetSocket } from './socket.ts';

type OnConnection = (socket: NetSocket) => void;

export interface Net {
  readonly Socket: new (options?: SocketOptions) => NetSocket;
  readonly Server: new (options?: ServerOptions | OnConnection, onConnection?: OnConnection) => NetServer;
  createServer(options?: ServerOptions | OnConnection, onConnection?: OnConnection): NetServer;
  connect(...args: ConnectArgs): NetSocket;
  createConnection(...args: ConnectArgs): NetSocket;
  isIP(text: string): 0 | 4 | 6;
  isIPv4(text: string): boolean;
  isIPv6(text: string): boolean;
}

export function createNet(kernel: Kernel): Net {
  class Socket extends NetSocket {
    constructor(options: SocketOptions = {}) {
      super(kernel, options);
    }
  }

  class Server extends NetServer {
    constructor(options?: ServerOptions | OnConnection, onConnection?: OnConnection) {
      if (typeof options === 'function') super(kernel, {}, options);
      else super(kernel, options ?? {}, onConnection ?? null);
    }
  }

  const connect = (...args: ConnectArgs): NetSocket => {
    const options: ConnectOptions = normalizeConnect(args).options;
    return new Socket(options).connect(...args);
  };

  return {
    Socket,
    Server,
    createServer: (options, onConnection) => new Server(options, onConnection),
    connect,
    createConnection: connect,
    isIP,
    isIPv4,
    isIPv6,
  };
}
