/** The accept filter `dataready` (accf_data(9)): waits for the first bytes, as many as the low-water mark says. */
import type { AcceptFilter } from './accf.ts';

export const accfData: AcceptFilter = {
  name: 'dataready',
  ready: (so) => so.rcv.cc >= so.rcv.lowat,
};
