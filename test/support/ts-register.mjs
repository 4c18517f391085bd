/** `node --import this FILE.ts`: child processes of tests run TypeScript as it lies, on every version of Node. */
import { register } from 'node:module';

register('./ts-load.mjs', import.meta.url);
