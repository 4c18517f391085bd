/**
 * The floors (docs/architecture.md) as rules: imports only point down, and what a floor may not see is named floor by floor.
 * Cycles of types alone are allowed inside a folder: the kernel's objects know each other's types.
 */
const path = require('node:path');

/** A floor may import itself and the folders named; everything else under src is above it or beside it. */
function floor(name, from, may, comment) {
  return {
    name,
    comment,
    severity: 'error',
    from: { path: from },
    to: { path: '^src/', pathNot: [from, ...may] },
  };
}

const WIRE = '^src/wire/';
const KERN = '^src/kern/';

module.exports = {
  forbidden: [
    floor('floor-0-wire', WIRE, [], 'wire is bytes only: it imports nothing'),
    floor(
      'floor-1-kern',
      KERN,
      ['^src/wire/addr(text)?\\.ts$'],
      'the generic kernel knows no protocol and no device: at most addresses',
    ),
    floor('floor-2-driver', '^src/driver/', [KERN, WIRE], 'drivers stand on the kernel and on wire'),
    floor('floor-3-inet', '^src/stacks/inet/', [KERN, WIRE], 'a stack imports kernel and wire: no other stack, no driver'),
    floor('floor-3-alt', '^src/stacks/alt/', [KERN, WIRE], 'a stack imports kernel and wire: no other stack, no driver'),
    floor('floor-4-node', '^src/node/', [KERN, WIRE], 'the Node-shaped API stands on the kernel'),
    floor('floor-5-services', '^src/services/', ['^src/node/', KERN, WIRE], 'what a boot serves stands on node and the kernel'),
    floor('floor-5-control', '^src/control/', ['^src/node/', KERN, WIRE], 'the control socket stands on node and the kernel'),
    floor(
      'floor-5-tools',
      '^src/tools/',
      ['^src/node/', '^src/control/', '^src/client/', KERN, WIRE],
      'the commands stand on the control socket',
    ),
    floor('floor-5-client', '^src/client/', [WIRE], 'who talks to a boot needs no kernel of his own'),
    floor(
      'floor-5-sim',
      '^src/sim/',
      ['^src/node/', '^src/driver/', '^src/stacks/(inet|alt)/module\\.ts$', KERN, WIRE],
      'the simulator stands on node, drivers and the stacks as modules',
    ),
    floor(
      'floor-5-pkt',
      '^src/pkt/',
      ['^src/node/', '^src/driver/', '^src/stacks/(inet|alt)/module\\.ts$', KERN, WIRE],
      'the packet tests stand on the kernel, a pair and the stacks as modules',
    ),
    {
      name: 'floor-5-sim-alone',
      comment: 'the simulator is a library of its own: nothing of the rest needs it',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/sim/' },
      to: { path: '^src/sim/' },
    },
    {
      name: 'floor-6-boot',
      comment: 'the loader knows stacks by name: it imports them when they are asked for, and never otherwise',
      severity: 'error',
      from: { path: '^src/boot(/|\\.ts$)' },
      to: { path: '^src/stacks/(inet|alt)/', dynamic: false },
    },
    {
      name: 'no-outside-below',
      comment: 'wire, kernel and stacks take nothing from Node or from packages: what comes from outside is an effect',
      severity: 'error',
      from: { path: '^src/(wire|kern|stacks)/', pathNot: '^src/kern/effects/' },
      to: { dependencyTypes: ['core', 'npm', 'npm-dev', 'npm-optional', 'npm-peer', 'npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'no-cycle',
      comment: 'a cycle that exists at run time; a cycle of types alone is none',
      severity: 'error',
      from: { path: '^src/' },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-unresolvable',
      comment: 'an import that leads nowhere',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true, pathNot: '^tuntap2$' },
    },
    {
      name: 'no-dev-dependency',
      comment: 'what ships may not need what is only there for development',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'no-test-in-src',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|bench)/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|build)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: path.join(__dirname, 'tsconfig.json') },
    enhancedResolveOptions: { extensions: ['.ts', '.js', '.json', '.node'] },
  },
};
