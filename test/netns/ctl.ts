/** What a boot says of itself over its control socket. */
import { createInterface } from 'node:readline';
import net from 'node:net';
import type { Boot } from '../support/netns.ts';

/** A call over the control socket. */
export function ask(path: string, call: string, args: unknown[] = []): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(path).on('error', reject);
    createInterface({ input: socket }).on('line', (line) => {
      const answer = JSON.parse(line) as Record<string, unknown>;
      if (answer['id'] !== 1) return;
      socket.destroy();
      resolve(answer);
    });
    socket.write(`${JSON.stringify({ id: 1, call, args })}\n`);
  });
}

/** A counter by its name; throws where there is none. */
export async function counter(boot: Boot, name: string): Promise<number> {
  const found = new RegExp(`"name":"${name}","value":(\\d+)`).exec(JSON.stringify(await ask(boot.ctl, 'counters')));
  if (found === null) throw new Error(`no counter ${name}`);
  return Number(found[1]);
}
