/** The doors for others: a stack of somebody else's, loaded by path, and a driver with the API of a package. */
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Netns, ROOT, describeNetns } from '../support/netns.ts';
import { peer } from './peer.ts';

/** Makes `import('tuntap2')` find the stand-in. */
const TUNTAP2 = join(ROOT, 'test/support/tuntap2-register.mjs');
const SOURCE = join(ROOT, 'test/conformance/tinystack');
/** Inside the package, so that its own name `netmod/kit` resolves as it would for one who has installed it. */
const TARGET = join(ROOT, 'build/tinystack');

/** Compiles the tiny stack as its author would. */
function compileTiny(): void {
  mkdirSync(TARGET, { recursive: true });
  for (const file of readdirSync(SOURCE)) {
    const { outputText } = ts.transpileModule(readFileSync(join(SOURCE, file), 'utf8'), {
      compilerOptions: {
        target: ts.ScriptTarget.ES2022,
        module: ts.ModuleKind.ESNext,
        rewriteRelativeImportExtensions: true,
        verbatimModuleSyntax: true,
      },
      fileName: file,
    });
    writeFileSync(join(TARGET, file.replace(/\.ts$/, '.js')), outputText);
  }
}

describeNetns('modules', () => {
  let ns: Netns;

  beforeAll(async () => {
    compileTiny();
    ns = await Netns.create();
  });

  afterAll(async () => {
    await ns?.remove();
    rmSync(TARGET, { recursive: true, force: true });
  });

  it('--stack=PATH: the tiny stack answers ping, curl and echo', async () => {
    const boot = await ns.boot([`--stack=${join(TARGET, 'tiny.js')}`, '--log=warn']);
    expect(boot.readyLine).toMatch(/^ready stack=tiny if=tap0 addr=10\.0\.0\.2\/24 services=http:80,echo:7 /);
    expect(await ns.must(['ping', '-c', '2', '-i', '0.1', '-W', '2', '10.0.0.2'])).toContain('2 received');
    expect(await ns.must(['curl', '-sS', '--max-time', '5', 'http://10.0.0.2/'])).toContain("'tiny'");
    expect(await peer(ns, 'bytes', 'http://10.0.0.2', 1_000_000)).toMatchObject({ right: 1 });
    expect(await peer(ns, 'tcpecho', '10.0.0.2', 7, 200_000)).toEqual({ echoed: 200_000 });
    expect(await peer(ns, 'udpecho', '10.0.0.2', 7, 10, 1000)).toEqual({ echoed: [10, 1000] });
    expect(await boot.stop()).toMatchObject({ status: 0, signal: null });
  });

  it('a path that exports no module is refused in one line', async () => {
    const file = join(ns.dir, 'empty.mjs');
    writeFileSync(file, 'export const nothing = 1;\n');
    await expect(ns.boot([`--stack=${file}`])).rejects.toThrow(/ended with 2.*netmodModule/s);
  });

  it.each(['inet', 'alt'])('--driver=tuntap2 with %s', async (stack) => {
    const boot = await ns.boot([`--stack=${stack}`, '--driver=tuntap2', '--log=warn'], { node: ['--import', TUNTAP2] });
    expect(boot.readyLine).toContain(`ready stack=${stack} if=tap0 `);
    expect(await ns.must(['ping', '-c', '2', '-i', '0.1', '-W', '2', '10.0.0.2'])).toContain('2 received');
    expect(await peer(ns, 'bytes', 'http://10.0.0.2', 5_000_000)).toMatchObject({ right: 1 });
    expect(await peer(ns, 'tcpecho', '10.0.0.2', 7, 500_000)).toEqual({ echoed: 500_000 });
    expect(await boot.stop()).toMatchObject({ status: 0, signal: null });
  });

  it('--driver=tuntap2 without the package says how to get it', async () => {
    await expect(ns.boot(['--driver=tuntap2'])).rejects.toThrow(/ended with 1.*\nnetmod: [^\n]*npm install tuntap2[^\n]*\n$/s);
  });

  it('--driver=tuntap2 has no offload, and says so', async () => {
    await expect(ns.boot(['--driver=tuntap2', '--offload=on'])).rejects.toThrow(/ended with 2.*offload/s);
  });
});
