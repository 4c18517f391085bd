/** A raw ICMP socket of the stack (icmp(4)), for `ping` and `traceroute`. */
import { type Client, ControlError } from '../client/client.ts';
import { ipv4Text, parseIpv4 } from './v4.ts';
import { IPPROTO_ICMP, IP_HDR_LEN, IP_TTL, ipHdrLen, ipSrc } from '../wire/ipv4.ts';
import { ToolError, UsageError } from './tool.ts';

/** A message that came, with what its IP header says. */
export interface IcmpMessage {
  readonly from: string;
  readonly ttl: number;
  /** From the ICMP header on. */
  readonly bytes: Uint8Array;
}

/** Opens one. A stack without raw sockets is an error that says so. */
export async function openIcmp(client: Client): Promise<number> {
  try {
    return await client.socket('inet', 'raw', IPPROTO_ICMP);
  } catch (error) {
    if (
      error instanceof ControlError &&
      ['EPROTONOSUPPORT', 'ESOCKTNOSUPPORT', 'EAFNOSUPPORT', 'EPROTOTYPE'].includes(error.code)
    ) {
      const { stack } = client.greeting;
      throw new ToolError(stack === 'none' ? 'there is no stack' : `the stack '${stack}' has no raw sockets (${error.code})`);
    }
    throw error;
  }
}

/** The next message; raw sockets give the IP header with it. */
export async function receiveIcmp(client: Client, fd: number): Promise<IcmpMessage | null> {
  const { data } = await client.recvfrom(fd, 65535);
  if (data.length < IP_HDR_LEN) return null;
  const hdrLen = ipHdrLen(data, 0);
  if (data.length < hdrLen + 8) return null;
  return { from: ipv4Text(ipSrc(data, 0)), ttl: data[IP_TTL] ?? 0, bytes: data.subarray(hdrLen) };
}

/** Only IPv4 addresses are taken: names are not looked up. */
export function hostArg(text: string): string {
  if (parseIpv4(text) === null) throw new UsageError(`a host is an IPv4 address like 10.0.0.1, not '${text}'`);
  return text;
}
