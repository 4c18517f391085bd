/**
 * Reader of packetdrill's script language, as its public documentation has it: options, then events, each a time and an action. An
 * action is a packet (`<` to the stack, `>` from it), a system call with its result, a command in back quotes, or a block of
 * assertions. Header comments `skip STACK: reason` say which stack a script is not for.
 */
import type { Action, CallSpec, Event, OptionSpec, Script, When } from './ast.ts';
import { parseArg } from './parseexpr.ts';
import { parsePacket } from './parsepacket.ts';
import type { Source } from './source.ts';

/** Seconds: `0`, `.1`, `0.250`; the dots of `...` are not part of one. */
const SECONDS = /\d+(?:\.(?!\.)\d*)?|\.\d+/y;
const SKIP = /^[ \t]*(?:#|\/\/)[ \t]*skip[ \t]+(\S*?)[ \t]*:[ \t]*(.*?)[ \t]*$/gm;

/** Throws `ScriptError`. */
export function parseScript(src: Source): Script {
  const skips = parseSkips(src);
  const options: OptionSpec[] = [];
  while (src.looks('--')) options.push(parseOption(src));
  const events: Event[] = [];
  // A command in front of everything sets the scene.
  while (src.looks('`')) {
    const at = src.pos;
    const action = parseCommand(src);
    events.push({ at, text: src.since(at), when: { kind: 'rel', ms: 0, endMs: null }, action });
  }
  while (!src.atEnd()) {
    if (src.looks('`')) {
      // packetdrill's clean-up command: the last thing in a script, without a time.
      const at = src.pos;
      const action = parseCommand(src);
      if (!src.atEnd()) src.fail('a command in the middle of a script needs a time in front of it, such as +0', at);
      events.push({ at, text: src.since(at), when: { kind: 'rel', ms: 0, endMs: null }, action });
      break;
    }
    events.push(parseEvent(src));
  }
  return { options, events, skips };
}

function parseSkips(src: Source): Map<string, string> {
  const skips = new Map<string, string>();
  for (const found of src.text.matchAll(SKIP)) {
    const [, stack = '', reason = ''] = found;
    if (stack === '' || reason === '') src.fail("expected 'skip STACK: reason', with a stack and a reason", found.index);
    skips.set(stack, reason);
  }
  return skips;
}

function parseOption(src: Source): OptionSpec {
  const at = src.pos;
  const name = src.need(/--\w+/y, 'an option, --name=value').slice(2);
  if (!src.takes('=')) return { at, name, value: null };
  return { at, name, value: src.need(/"[^"\n]*"|\S+/y, `a value of --${name}`).replace(/^"(.*)"$/, '$1') };
}

function seconds(src: Source, what: string): number {
  return Math.round(Number(src.need(SECONDS, what)) * 1e6) / 1e3;
}

function parseWhen(src: Source): When {
  if (src.takes('*')) return { kind: 'any', ms: 0, endMs: null };
  const kind = src.takes('+') ? 'rel' : 'abs';
  const ms = seconds(src, "a time: seconds, such as 0.100, +.1 (from the event before), 0~1 (a range), or '*' (any)");
  let endMs: number | null = null;
  if (src.takes('~')) {
    src.takes('+');
    const at = src.pos;
    endMs = seconds(src, 'the end of the range of time, in seconds');
    if (endMs < ms) src.fail('the range of time ends before it begins', at);
  }
  return { kind, ms, endMs };
}

function parseEvent(src: Source): Event {
  const at = src.pos;
  const when = parseWhen(src);
  const start = src.pos;
  const action = parseAction(src, when);
  return { at, text: src.since(start), when, action };
}

function parseAction(src: Source, when: When): Action {
  if (src.looks('<') || src.looks('>')) {
    if (src.looks('<') && (when.kind === 'any' || when.endMs !== null)) {
      src.fail("a packet to the stack is sent at one time: '*' and ranges are for packets from it");
    }
    return { kind: 'packet', packet: parsePacket(src) };
  }
  if (when.kind === 'any' || when.endMs !== null) src.fail("expected '>': '*' and ranges of time are for packets from the stack");
  if (src.looks('`')) return parseCommand(src);
  if (src.looks('%{')) return parseCode(src);
  return { kind: 'call', call: parseCall(src, when) };
}

function parseCommand(src: Source): Action {
  const at = src.pos;
  const quoted = src.take(/`(?:\\[^]|[^`\\])*`/y);
  if (quoted === null) src.fail('a command ends with a back quote, and this one does not', at);
  return { kind: 'command', text: quoted.slice(1, -1) };
}

function parseCode(src: Source): Action {
  const at = src.pos;
  const block = src.take(/%\{[^]*?\}%/y);
  if (block === null) src.fail("a block of assertions ends with '}%', and this one does not", at);
  return { kind: 'code', text: block.slice(2, -2) };
}

function parseCall(src: Source, when: When): CallSpec {
  let endMs: number | null = null;
  if (src.takes('...')) {
    src.takes('+');
    const at = src.pos;
    endMs = seconds(src, 'when the call ends, in seconds');
    if (endMs < when.ms) src.fail('the call ends before it begins', at);
  }
  const what =
    "an action: '<' a packet to the stack, '>' one from it, a call such as read(3, ..., 1000) = 1000, or a command in back quotes";
  const name = src.need(/[a-z_]\w*/y, what);
  src.expect('(');
  const args = [];
  while (!src.takes(')')) {
    if (args.length > 0) src.expect(',');
    args.push(parseArg(src));
  }
  src.expect('=');
  const result = parseArg(src);
  const errno = src.take(/E[A-Z0-9]+\b/y);
  if (src.looks('(')) src.need(/\([^)\n]*\)/y, 'a note in parentheses');
  return { name, args, result, errno, endMs };
}
