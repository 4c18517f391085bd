/**
 * What a client of the control socket may ask and keep. Whatever it sends, one request costs the stack's thread a few milliseconds at
 * most, and all clients together take a bounded part of its time (`turns.ts`) and of memory.
 */

/** Longest data of one request or answer in bytes, before base64. A longer `send` is made in parts. */
export const DATA_MAX = 256 * 1024;
/** Longest line in bytes: a `send` of DATA_MAX, and what stands around its data. */
export const LINE_MAX = 384 * 1024;
/** Descriptors of one `poll`. */
export const POLL_MAX = 1024;
/** Values of a request (members of lists and objects), of which the names in objects are so many at most: they take longest to read. */
export const VALUES_MAX = 8 * POLL_MAX;
export const NAMES_MAX = 3 * POLL_MAX;
/** Levels of lists and objects in the arguments: what is answered is walked by recursion. */
export const DEPTH_MAX = 32;
/** Calls of one client that may be under way; further requests wait in the line buffer. */
export const OUTSTANDING_MAX = 1024;
/** Bytes that those calls may hold: their arguments, and the room that a `recv` has for data. */
export const HELD_MAX = 64 * 1024 * 1024;
/** Entries that the polls under way may have in all: when a socket changes, each poll that asked about it is looked through. */
export const ENTRIES_MAX = 16 * POLL_MAX;
/** Bytes of answers that a client may leave unread before its requests are no longer read, and its streams lose items. */
export const UNREAD_MAX = 1024 * 1024;
/** Bytes of requests that wait while nothing is wrong with the client: more is not read until these are served. */
export const AHEAD_MAX = 64 * 1024;
/** Bytes that all clients together may have here, waiting, held and unread; beyond, who has more than a fair share is sent away. */
export const MEMORY_MAX = 256 * 1024 * 1024;
/** Clients at one time. */
export const CLIENTS_MAX = 1024;
export const FAIR_SHARE = MEMORY_MAX / CLIENTS_MAX;

/** What the greeting says of them. */
export const LIMITS = { line: LINE_MAX, data: DATA_MAX, poll: POLL_MAX, calls: OUTSTANDING_MAX } as const;
