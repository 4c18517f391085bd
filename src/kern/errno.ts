/**
 * Error numbers by name, with FreeBSD's numbers (errno(2)). Inside the kernel an error is its name: a routine that can fail
 * returns `Errno | null` (null is success) or `Result<T>` (the value, or the name of the error).
 */
export const ERRNO = {
  EPERM: 1, ENOENT: 2, ESRCH: 3, EINTR: 4, EIO: 5, ENXIO: 6, E2BIG: 7, ENOEXEC: 8, EBADF: 9, EDEADLK: 11, ENOMEM: 12, EACCES: 13,
  EFAULT: 14, EBUSY: 16, EEXIST: 17, ENODEV: 19, ENOTDIR: 20, EISDIR: 21, EINVAL: 22, ENFILE: 23, EMFILE: 24, ENOTTY: 25,
  ENOSPC: 28, EMLINK: 31, EPIPE: 32, EDOM: 33, ERANGE: 34, EAGAIN: 35, EINPROGRESS: 36, EALREADY: 37, ENOTSOCK: 38,
  EDESTADDRREQ: 39, EMSGSIZE: 40, EPROTOTYPE: 41, ENOPROTOOPT: 42, EPROTONOSUPPORT: 43, ESOCKTNOSUPPORT: 44,
  EOPNOTSUPP: 45, EPFNOSUPPORT: 46, EAFNOSUPPORT: 47, EADDRINUSE: 48, EADDRNOTAVAIL: 49, ENETDOWN: 50, ENETUNREACH: 51,
  ENETRESET: 52, ECONNABORTED: 53, ECONNRESET: 54, ENOBUFS: 55, EISCONN: 56, ENOTCONN: 57, ESHUTDOWN: 58, ETIMEDOUT: 60,
  ECONNREFUSED: 61, ENAMETOOLONG: 63, EHOSTDOWN: 64, EHOSTUNREACH: 65, ENOSYS: 78, ENOMSG: 83, ENOTCAPABLE: 93,
  ECAPMODE: 94,
} as const; // prettier-ignore

/** The name of an error. */
export type Errno = keyof typeof ERRNO;

/** A value that is never a string, or the name of the error that stood in its way. */
export type Result<T> = T | Errno;

/** True when `r` is an error's name: the test that every `Result` goes through. */
export function isErrno(r: unknown): r is Errno {
  return typeof r === 'string';
}
