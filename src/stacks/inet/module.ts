/** The module `netstack_inet`: the full stack with TCP, as the loader finds it. */
import type { ModuleSpec } from '../../kern/module.ts';
import { inetModule } from './inetmodule.ts';
import { createTcp } from './tcp/tcp.ts';

export const netmodModule: ModuleSpec = inetModule(createTcp);
