// @ts-check
/** What the bench stands on, installed or built when it is not there: Debian packages, netmod, the C clients, the gVisor peer. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, statSync } from 'node:fs';
import net from 'node:net';
import { delimiter, join } from 'node:path';

export const ROOT = join(import.meta.dirname, '../..');
const BENCH = join(ROOT, 'bench');
/** Ignored by git, like all of `build/`. */
export const OUT = join(ROOT, 'build/bench');

/** What keeps the bench from running, in one line. */
export class BenchError extends Error {}

/**
 * Two benches at once would measure each other. The lock is the name of a socket, which goes with its process, whatever ends it.
 * @returns {Promise<void>} rejects with BenchError when another one runs
 */
export function lock() {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', () => reject(new BenchError('another bench is running on this machine')));
    server.listen('\0netmod-bench', () => {
      server.unref();
      resolve();
    });
  });
}

/** A command, and the package that has it. */
const COMMANDS = [
  ['cc', 'gcc'],
  ['wrk', 'wrk'],
  ['ethtool', 'ethtool'],
  ['nft', 'nftables'],
  ['ip', 'iproute2'],
  ['ping', 'iputils-ping'],
  ['sysctl', 'procps'],
  ['setpriv', 'util-linux'],
  ['taskset', 'util-linux'],
];

/** @param {string} command */
function onPath(command) {
  const folders = `${process.env['PATH'] ?? ''}${delimiter}/usr/sbin${delimiter}/sbin`.split(delimiter);
  return folders.some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Standard output stays clean: what a tool says goes to standard error. @param {string} command @param {string[]} args @param {object} [env] */
function must(command, args, env = {}) {
  const done = spawnSync(command, args, { cwd: ROOT, stdio: ['ignore', 2, 2], env: { ...process.env, ...env } });
  if (done.status !== 0) throw new BenchError(`${command} ${args.join(' ')}: ${done.error?.message ?? `status ${done.status}`}`);
}

/** @param {string[]} packages */
function install(packages) {
  if (packages.length === 0) return;
  if (!onPath('apt-get')) throw new BenchError(`missing here: ${packages.join(' ')} (and no apt-get to install them with)`);
  process.stderr.write(`bench: apt-get install ${packages.join(' ')}\n`);
  const args = ['install', '-y', '-qq', '--no-install-recommends', ...packages];
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  try {
    must('apt-get', args, env);
  } catch {
    must('apt-get', ['update', '-qq']);
    must('apt-get', args, env);
  }
}

/** @param {string} file @param {string[]} sources */
function isNewer(file, sources) {
  if (!existsSync(file)) return false;
  const built = statSync(file).mtimeMs;
  return sources.every((source) => statSync(source).mtimeMs <= built);
}

/** @param {string} name @param {string[]} sources @param {string[]} [headers] */
function compile(name, sources, headers = []) {
  const file = join(OUT, name);
  const paths = [...sources, ...headers].map((source) => join(BENCH, 'c', source));
  if (isNewer(file, paths)) return;
  must('cc', ['-O2', '-Wall', '-Wextra', '-o', file, ...paths.slice(0, sources.length)]);
}

/** Debian's Go libraries are found by path, not as modules. */
function buildGvisor() {
  const packages = [];
  if (!onPath('go')) packages.push('golang-go');
  if (!existsSync('/usr/share/gocode/src/gvisor.dev/gvisor')) packages.push('golang-gvisor-gvisor-dev');
  install(packages);
  const source = join(BENCH, 'peers/gvisor.go');
  const file = join(OUT, 'gvisor');
  if (isNewer(file, [source])) return;
  must('go', ['build', '-o', file, source], {
    GO111MODULE: 'off',
    GOPATH: '/usr/share/gocode',
    GOFLAGS: '',
    GOCACHE: join(OUT, 'go'),
  });
}

/**
 * @param {{ boot: string | null, gvisor: boolean }} wanted
 * @returns {{ boot: string }} the boot.js to measure
 */
export function prepare({ boot, gvisor }) {
  if (process.getuid?.() !== 0) throw new BenchError('needs root, for network namespaces: sudo npm run bench');
  if (!existsSync('/dev/net/tun')) throw new BenchError('no /dev/net/tun: the tun module is not loaded');
  const missing = COMMANDS.filter(([command]) => !onPath(/** @type {string} */ (command))).map(
    ([, name]) => /** @type {string} */ (name),
  );
  if (!existsSync('/usr/include/stdio.h')) missing.push('libc6-dev');
  install([...new Set(missing)]);
  mkdirSync(OUT, { recursive: true });
  compile('client', ['client.c', 'common.c', 'bulk.c', 'echo.c', 'connections.c'], ['client.h']);
  compile('server', ['server.c']);
  compile('floor', ['floor.c']);
  if (gvisor) buildGvisor();
  if (boot !== null) {
    if (!existsSync(boot)) throw new BenchError(`--boot: no file ${boot}`);
    return { boot };
  }
  must(join(ROOT, 'scripts/setup'), ['run']);
  return { boot: join(ROOT, 'dist/boot.js') };
}
