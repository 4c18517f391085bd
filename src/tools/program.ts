/** The program `netmod`: finds the boot, runs one command, and says in one line what went wrong. */
import { Command, CommanderError } from 'commander';
import { type Client, ControlError, connect } from '../client/client.ts';
import { errorText } from './errtext.ts';
import { findControl } from './find.ts';
import { unknown } from './nearest.ts';
import { type Screen, type Tool, ToolError, UsageError } from './tool.ts';

/** Status of wrong usage, and of what could not be done. */
const STATUS_USAGE = 2;
const STATUS_FAILED = 1;

export interface ProgramOptions {
  readonly tools: readonly Tool[];
  readonly screen: Screen;
  readonly until: AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
}

/** What stands before the command or behind it. */
interface Common {
  readonly json: boolean;
  readonly ctl: string | undefined;
}

/** Runs one command line (without the program's own name); answers the exit status. */
export async function runProgram(argv: readonly string[], options: ProgramOptions): Promise<number> {
  const shared: { client: Client | null } = { client: null };
  try {
    return await runWith(argv, options, shared);
  } finally {
    shared.client?.close();
  }
}

async function runWith(argv: readonly string[], options: ProgramOptions, shared: { client: Client | null }): Promise<number> {
  const { screen, env } = options;
  let status = 0;
  let running = '';
  const program = createProgram(options);
  for (const tool of options.tools) {
    const command = addCommand(program, tool);
    command.action(async (given: string[], opts: Record<string, unknown>) => {
      running = ` ${tool.name}`;
      const before = program.opts<{ json?: boolean; ctl?: string }>();
      const { words, json, ctl } = tool.ownDashes === true ? takeCommon(given) : { words: given, ...commonOf(opts) };
      if (tool.ownDashes === true && (words[0] === '--help' || words[0] === '-h')) {
        screen.print(command.helpInformation());
        return;
      }
      const asJson = json || before.json === true;
      const offline = await tool.runOffline?.({ json: asJson, screen, until: options.until }, words, opts);
      if (typeof offline === 'number') {
        status = offline;
        return;
      }
      const where = ctl ?? before.ctl;
      shared.client ??= await connect(findControl(where ?? env.NETMOD_CTL));
      const run = (inner: readonly string[]): Promise<number> => runWith(asJson ? ['--json', ...inner] : inner, options, shared);
      status = await tool.run({ client: shared.client, json: asJson, screen, until: options.until, run }, words, opts);
    });
  }
  try {
    if (argv.length === 0) {
      screen.warn(program.helpInformation());
      return STATUS_USAGE;
    }
    program.on('command:*', ([word = '']: string[]) => refuseCommand(word, options.tools));
    // Commander shows the whole help for a command that is not there.
    if (argv[0] === 'help' && argv[1] !== undefined) refuseCommand(argv[1], options.tools);
    await program.parseAsync([...argv], { from: 'user' });
    return status;
  } catch (error) {
    return report(error, running, screen);
  }
}

function createProgram({ screen, version }: ProgramOptions): Command {
  return new Command('netmod')
    .description('Looks at and changes a running boot, through its control socket.')
    .usage('[--json] [--ctl=PATH] COMMAND ...')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this; netmod COMMAND --help: what it takes')
    .option('--json', 'data instead of text; may follow the command too')
    .option('--ctl <path>', 'control socket; may follow the command too')
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .configureOutput({
      writeOut: (text) => void screen.write(text),
      writeErr: (text) => screen.warn(text.replace(/^error: /, 'netmod: ').trimEnd()),
    })
    .exitOverride()
    .showSuggestionAfterError()
    .enablePositionalOptions()
    .addHelpText('after', '\nThe control socket: --ctl=PATH, else $NETMOD_CTL, else the only one in /run/netmod.');
}

function addCommand(program: Command, tool: Tool): Command {
  const command = program.command(tool.name).summary(tool.summary).description(tool.summary);
  command
    .usage(`${tool.usage} [--json] [--ctl=PATH]`.trimStart())
    .helpOption('-h, --help', 'print this')
    .argument('[words...]')
    .exitOverride()
    .copyInheritedSettings(program);
  command.configureHelp({ visibleArguments: () => [] });
  tool.define?.(command);
  if (tool.ownDashes !== true) command.option('--json', 'data instead of text').option('--ctl <path>', 'control socket');
  else command.allowUnknownOption().passThroughOptions().helpOption(false);
  return command;
}

/** For a command that does not exist: names the nearest that does, or all of them. */
function refuseCommand(word: string, tools: readonly Tool[]): void {
  const names = tools.map((tool) => tool.name);
  if (!names.includes(word)) throw new UsageError(unknown('command', word, names));
}

const commonOf = ({ json, ctl }: Readonly<Record<string, unknown>>): Common => ({
  json: json === true,
  ctl: ctl === undefined ? undefined : String(ctl),
});

/** `--json` and `--ctl` among words that are otherwise the command's own; after `--`, nothing is. */
function takeCommon(given: readonly string[]): Common & { words: string[] } {
  const words: string[] = [];
  let json = false;
  let ctl: string | undefined;
  for (let i = 0; i < given.length; i++) {
    const word = given[i] as string;
    if (word === '--') {
      words.push(...given.slice(i + 1));
      break;
    }
    if (word === '--json') json = true;
    else if (word === '--ctl') {
      ctl = given[++i];
      if (ctl === undefined) throw new UsageError('the path after --ctl is missing');
    } else if (word.startsWith('--ctl=')) ctl = word.slice('--ctl='.length);
    else words.push(word);
  }
  return { words, json, ctl };
}

function report(error: unknown, command: string, screen: Screen): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : STATUS_USAGE;
  if (error instanceof UsageError || error instanceof ToolError) {
    screen.warn(`netmod${command}: ${error.message}`);
    return error instanceof UsageError ? STATUS_USAGE : STATUS_FAILED;
  }
  if (error instanceof ControlError) {
    screen.warn(`netmod${command}: ${errorText(error)}`);
    return STATUS_FAILED;
  }
  throw error;
}
