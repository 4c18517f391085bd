/** ioctls on a socket (sys_socket.c `soo_ioctl`): the generic ones here, then the owner of the group, then the protocol. */
import type { Errno } from '../errno.ts';
import { _IOR, _IOW } from '../ioccom.ts';
import { ENOIOCTL } from '../ioctl.ts';
import { SS_NBIO, SS_RCVATMARK, type Socket } from './socket.ts';

/** Data of the requests here: `{ value: number }`, the C int. */
export interface IntData {
  value: number;
}

export const FIONSPACE = _IOR('f', 118, 4);
export const FIONWRITE = _IOR('f', 119, 4);
export const FIOASYNC = _IOW('f', 125, 4);
export const FIONBIO = _IOW('f', 126, 4);
export const FIONREAD = _IOR('f', 127, 4);
export const SIOCATMARK = _IOR('s', 7, 4);

/** EINVAL for a buffer request on a listening socket or data of the wrong shape. */
export function soioctl(so: Socket, cmd: number, data: unknown): Errno | null {
  switch (cmd >>> 0) {
    case FIONBIO:
      if (!isInt(data)) return 'EINVAL';
      so.state = data.value !== 0 ? so.state | SS_NBIO : so.state & ~SS_NBIO;
      return null;
    case FIOASYNC:
      // There are no signals to send; a handler is told of everything anyway.
      return isInt(data) ? null : 'EINVAL';
    case FIONREAD:
      return answer(so, data, so.rcv.cc);
    case FIONWRITE:
      return answer(so, data, so.snd.cc);
    case FIONSPACE:
      return answer(so, data, so.snd.space());
    case SIOCATMARK:
      return answer(so, data, (so.state & SS_RCVATMARK) !== 0 ? 1 : 0);
    default: {
      const result = so.kernel.iocgroups.dispatch(so, cmd, data);
      if (result !== ENOIOCTL) return result;
      return so.pcb === null ? 'EINVAL' : so.methods.control(so, cmd, data);
    }
  }
}

function answer(so: Socket, data: unknown, value: number): Errno | null {
  if (so.listen !== null || !isInt(data)) return 'EINVAL';
  data.value = value;
  return null;
}

function isInt(data: unknown): data is IntData {
  return typeof data === 'object' && data !== null && typeof (data as Partial<IntData>).value === 'number';
}
