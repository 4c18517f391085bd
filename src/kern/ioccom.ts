/**
 * Encoding of ioctl requests (FreeBSD's sys/ioccom.h): direction in the top three bits, length of the argument in bits 16 to 28,
 * letter of the group in bits 8 to 15, number in the low eight. Requests are unsigned 32-bit integers.
 */
export const IOCPARM_SHIFT = 13;
export const IOCPARM_MASK = (1 << IOCPARM_SHIFT) - 1;
/** Longest argument in bytes, exclusive. */
export const IOCPARM_MAX = 1 << IOCPARM_SHIFT;

/** No argument; copied out to the caller; copied in from the caller. */
export const IOC_VOID = 0x20000000;
export const IOC_OUT = 0x40000000;
export const IOC_IN = 0x80000000;
export const IOC_INOUT = 0xc0000000;
export const IOC_DIRMASK = 0xe0000000;

function ioc(dir: number, group: string, num: number, len: number): number {
  return (dir | ((len & IOCPARM_MASK) << 16) | (group.charCodeAt(0) << 8) | num) >>> 0;
}

/** A request without an argument. */
export function _IO(group: string, num: number): number {
  return ioc(IOC_VOID, group, num, 0);
}

/** A request whose argument is one integer by value. */
export function _IOWINT(group: string, num: number): number {
  return ioc(IOC_VOID, group, num, 4);
}

/** Reads `len` bytes out of the kernel. */
export function _IOR(group: string, num: number, len: number): number {
  return ioc(IOC_OUT, group, num, len);
}

/** Writes `len` bytes into the kernel. */
export function _IOW(group: string, num: number, len: number): number {
  return ioc(IOC_IN, group, num, len);
}

export function _IOWR(group: string, num: number, len: number): number {
  return ioc(IOC_INOUT, group, num, len);
}

/** Length of the argument in bytes. */
export function IOCPARM_LEN(cmd: number): number {
  return (cmd >>> 16) & IOCPARM_MASK;
}

/** The group's letter. */
export function IOCGROUP(cmd: number): string {
  return String.fromCharCode((cmd >>> 8) & 0xff);
}

/** The number within the group. */
export function IOCNUM(cmd: number): number {
  return cmd & 0xff;
}
