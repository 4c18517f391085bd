/** Names of ICMP's types and codes in the script language (RFC 792, RFC 1122 §3.2.2, RFC 1812 §5.2.7). */
import {
  ICMP_ECHO,
  ICMP_ECHOREPLY,
  ICMP_PARAMPROB,
  ICMP_REDIRECT,
  ICMP_SOURCEQUENCH,
  ICMP_TIMXCEED,
  ICMP_TSTAMP,
  ICMP_TSTAMPREPLY,
  ICMP_UNREACH,
} from '../wire/icmp.ts';

export const ICMP_TYPES: ReadonlyMap<string, number> = new Map([
  ['echo_reply', ICMP_ECHOREPLY],
  ['unreachable', ICMP_UNREACH],
  ['source_quench', ICMP_SOURCEQUENCH],
  ['redirect', ICMP_REDIRECT],
  ['echo_request', ICMP_ECHO],
  ['time_exceeded', ICMP_TIMXCEED],
  ['parameter_problem', ICMP_PARAMPROB],
  ['timestamp_request', ICMP_TSTAMP],
  ['timestamp_reply', ICMP_TSTAMPREPLY],
  // Obsolete (RFC 6918): no stack here knows them, and a script may say so.
  ['information_request', 15],
  ['information_reply', 16],
  ['address_mask_request', 17],
  ['address_mask_reply', 18],
]);

/** Codes of a type by their number. */
export const ICMP_CODES: ReadonlyMap<number, readonly string[]> = new Map([
  [
    ICMP_UNREACH,
    [
      'net_unreachable',
      'host_unreachable',
      'protocol_unreachable',
      'port_unreachable',
      'frag_needed',
      'source_route_failed',
      'net_unknown',
      'host_unknown',
      'source_host_isolated',
      'net_prohibited',
      'host_prohibited',
      'net_unreachable_for_tos',
      'host_unreachable_for_tos',
      'packet_filtered',
      'precedence_violation',
      'precedence_cutoff',
    ],
  ],
  [ICMP_TIMXCEED, ['ttl_exceeded', 'reassembly_time_exceeded']],
  [ICMP_REDIRECT, ['net_redirect', 'host_redirect']],
]);
