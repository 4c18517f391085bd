/** `node --import this ...`: `import('tuntap2')` finds the stand-in beside this file, as if the package were installed. */
import { register } from 'node:module';
import './ts-register.mjs';

register('./tuntap2-resolve.mjs', import.meta.url);
