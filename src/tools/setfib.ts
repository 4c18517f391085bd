/** `setfib`: runs another command with a routing table of its own, as setfib(1). */
import { type Tool, need, wholeNumber } from './tool.ts';

export const setfibTool: Tool = {
  name: 'setfib',
  summary: 'run a command with another routing table',
  usage: '[-F] FIB COMMAND [ARGUMENT ...]',
  ownDashes: true,
  async run({ client, run }, words) {
    const rest = words[0] === '-F' ? words.slice(1) : words;
    // `setfib -1 ping` of old times and `setfib 1 ping`.
    const fib = wholeNumber(need(rest, 0, 'the table').replace(/^-/, ''), 'a routing table', 0, 65535);
    need(rest, 1, 'the command');
    await client.call('setfib', fib);
    return run(rest.slice(1));
  },
};
