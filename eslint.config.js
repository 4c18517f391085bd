/**
 * Lint rules of the project. Types are checked where that is cheap; the two rules of DESIGN that a type checker cannot see are here:
 * nothing global (no module-level mutable state), and effects only from the kernel. The floors are dependency-cruiser's part.
 */
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** What only `effects/real.ts` and the floors above the drivers may name: the host's clock, timers, randomness, process and log. */
const HOST_GLOBALS = [
  'Date',
  'performance',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'clearTimeout',
  'clearInterval',
  'clearImmediate',
  'queueMicrotask',
  'process',
  'console',
  'globalThis',
  'global',
  'crypto',
].map((name) => ({ name, message: 'Take it from Effects (src/kern/effects.ts): only effects/real.ts touches the host.' }));

/** Module-level declarations, exported or not. */
const MODULE_LEVEL = [':matches(Program, Program > ExportNamedDeclaration)'];

const NO_GLOBAL_STATE = [
  {
    selector: `${MODULE_LEVEL} > VariableDeclaration[kind=/^(let|var)$/]`,
    message: 'No module-level mutable state: hang it on the Kernel or on an object of its own.',
  },
  {
    selector: `${MODULE_LEVEL} > VariableDeclaration > VariableDeclarator:not([id.typeAnnotation.typeAnnotation.typeName.name=/^Readonly/]) > NewExpression[callee.name=/^(Map|Set|WeakMap|WeakSet|Array|(Int|Uint|Float)(8|16|32|64)(Clamped)?Array)$/]`,
    message: 'A module-level collection is global state: annotate it Readonly..., or hang it on an object.',
  },
  {
    selector: `${MODULE_LEVEL} > VariableDeclaration > VariableDeclarator:not([id.typeAnnotation.typeAnnotation.type="TSTypeOperator"]):not([id.typeAnnotation.typeAnnotation.typeName.name=/^Readonly/]) > ArrayExpression`,
    message: 'A module-level array is global state: annotate it `readonly`, or add `as const`.',
  },
];

const NO_DEFAULT_EXPORT = { selector: 'ExportDefaultDeclaration', message: 'Named exports only.' };

const TYPED = ['src/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts', 'bench/**/*.mjs', 'scripts/**/*.ts'];

export default defineConfig(
  { ignores: ['dist/', 'build/', 'coverage/', 'node_modules/'] },
  {
    files: TYPED,
    extends: [tseslint.configs.recommended],
    languageOptions: { parserOptions: { project: './tsconfig.test.json', tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      eqeqeq: 'error',
      'no-var': 'error',
      'prefer-const': 'error',
      'no-empty': 'error',
      'no-restricted-syntax': ['error', NO_DEFAULT_EXPORT],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrors: 'all' }],
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'error',
      'no-restricted-syntax': ['error', NO_DEFAULT_EXPORT, ...NO_GLOBAL_STATE],
    },
  },
  {
    files: ['src/kern/**/*.ts', 'src/stacks/**/*.ts', 'src/driver/**/*.ts', 'src/wire/**/*.ts'],
    ignores: ['src/kern/effects/real.ts'],
    rules: {
      'no-restricted-globals': ['error', ...HOST_GLOBALS],
      'no-restricted-properties': [
        'error',
        { object: 'Math', property: 'random', message: 'Take it from Effects: kernel.effects.random.' },
      ],
    },
  },
  {
    files: ['test/**/*.ts', 'bench/**/*.ts', 'bench/**/*.mjs'],
    rules: { '@typescript-eslint/no-non-null-assertion': 'off', '@typescript-eslint/no-empty-function': 'off' },
  },
);
