/**
 * Counters of the network layer and of what stands beside TCP. Names are those of FreeBSD's netstat(1) structures where they exist
 * (ip_var.h, icmp_var.h, udp_var.h, if_arp.h). Packets, unless it says otherwise.
 */
import type { CounterMeta } from '../../kern/counters.ts';

/** Ethernet demultiplexing (RFC 894). */
export class EtherStat {
  /** Shorter than an Ethernet header. */
  runts = 0;
  /** Sent to another station. */
  notforus = 0;
  /** Length instead of a type (IEEE 802.3), and a type that nobody here speaks. */
  llc = 0;
  noproto = 0;
}

/** ARP (RFC 826, RFC 5227). */
export class ArpStat {
  rxrequests = 0;
  rxreplies = 0;
  txrequests = 0;
  txreplies = 0;
  /** Gratuitous requests sent: announcements and defences. */
  txannounces = 0;
  /** Requests for an address before it is used; addresses that were another host's (RFC 5227 §2.1). */
  txprobes = 0;
  dadconflicts = 0;
  received = 0;
  /** While the interface does without ARP (IFF_NOARP). */
  disabled = 0;
  /** Shorter than an ARP packet; other hardware, protocol or lengths; an operation that is neither request nor reply. */
  tooshort = 0;
  badfmt = 0;
  badop = 0;
  /** A sender's hardware or protocol address that nobody can have; a sender outside our subnets. */
  badsha = 0;
  badspa = 0;
  offlink = 0;
  /** Our own packet came back. */
  own = 0;
  /** Somebody else uses our address; how often we defended it. */
  dupips = 0;
  defended = 0;
  /** An entry's hardware address changed; a change of a permanent entry was refused. */
  moved = 0;
  permrefused = 0;
  /** Entries that ran out, that nobody answered for, that made room for others. */
  timeouts = 0;
  failed = 0;
  evicted = 0;
  /** Packets kept while the answer is awaited, and those of them that were lost. */
  held = 0;
  dropped = 0;
  /** Packets refused because the neighbour did not answer a moment ago. */
  holddown = 0;
}

/** IPv4 (RFC 791). */
export class IpStat {
  total = 0;
  badsum = 0;
  /** Shorter than its header or its length; shorter than any header. */
  tooshort = 0;
  toosmall = 0;
  badhlen = 0;
  badlen = 0;
  badvers = 0;
  badoptions = 0;
  /** Source-routed: never forwarded, never accepted. */
  srcroute = 0;
  /** Addresses that cannot be on this link (RFC 1122 §3.2.1.3). */
  badaddr = 0;
  /** Came by the link's broadcast for a unicast address (RFC 1122 §3.3.6). */
  linkbcast = 0;
  /** Not for this host; a multicast group that nobody here joined. */
  cantforward = 0;
  notmember = 0;
  delivered = 0;
  noproto = 0;
  localout = 0;
  rawout = 0;
  odropped = 0;
  /** Datagrams cut on output, the pieces, and those that must not be cut. */
  fragmented = 0;
  ofragments = 0;
  cantfrag = 0;
  /** With a TTL of 0: must not leave this host (RFC 1112 §6.1). */
  ttlzero = 0;
  /** Transport checksums completed here because the link cannot. */
  swcsum = 0;
  /** Packets to ourselves: carried, and lost because the queue was full. */
  looped = 0;
  loopdropped = 0;
}

/** Reassembly (RFC 791 §3.2, RFC 815). */
export class FragStat {
  fragments = 0;
  reassembled = 0;
  /** Fragments thrown away for lack of room, and datagrams for the same reason. */
  fragdropped = 0;
  evicted = 0;
  fragtimeout = 0;
  /** Too many pieces; no multiple of 8; nothing in it. */
  toomany = 0;
  badlen = 0;
  /** Offset and length beyond 65535 bytes ("ping of death"). */
  toolong = 0;
  /** Came twice; overlapped others or disagreed about the end: the datagram is given up. */
  duplicate = 0;
  overlap = 0;
  /** Congestion marks that contradict each other (RFC 3168 §5.3). */
  badecn = 0;
}

/** Routing table, route cache and path MTU. */
export class RouteStat {
  lookups = 0;
  unreach = 0;
  evicted = 0;
  /** Path MTUs lowered, refused as bogus, forgotten by age, evicted. */
  pmtulowered = 0;
  pmturefused = 0;
  pmtuexpired = 0;
  pmtuevicted = 0;
}

/** ICMP (RFC 792). */
export class IcmpStat {
  tooshort = 0;
  checksum = 0;
  badcode = 0;
  badlen = 0;
  badaddr = 0;
  inecho = 0;
  inechoreply = 0;
  inunreach = 0;
  intimxceed = 0;
  inparamprob = 0;
  intstamp = 0;
  intstampreply = 0;
  inother = 0;
  /** Seen and not acted upon: RFC 6633, and redirects. */
  quench = 0;
  redirect = 0;
  bmcastecho = 0;
  bmcasttstamp = 0;
  reflect = 0;
  /** Answers with the request's record route or timestamps. */
  outoptions = 0;
  /** Errors about packets that are not ours, or about a protocol that is not here. */
  notours = 0;
  noctl = 0;
  outunreach = 0;
  outtimxceed = 0;
  outparamprob = 0;
  /** Errors not sent: as the rules say; because of the rate. */
  error_suppressed = 0;
  error_ratelimited = 0;
  noroute = 0;
  nobufs = 0;
}

/** IGMP (RFC 3376). Messages. */
export class IgmpStat {
  total = 0;
  tooshort = 0;
  badsum = 0;
  /** Not with a TTL of 1: from elsewhere. */
  badttl = 0;
  badtype = 0;
  /** Of no length that a query has, or about what is no group; reports about another group than they were sent to, or from elsewhere. */
  badquery = 0;
  badreport = 0;
  queries = 0;
  /** Of other hosts, in an older version; our own that these made needless; what is for routers. */
  reports = 0;
  suppressed = 0;
  forrouters = 0;
  sent = 0;
  nobufs = 0;
}

export const IGMP_COUNTER_META: CounterMeta = {
  drops: ['tooshort', 'badsum', 'badttl', 'badtype', 'badquery', 'badreport'],
  outdrops: ['nobufs'],
  help: {
    total: 'messages received',
    tooshort: 'messages shorter than any',
    badsum: 'checksum is wrong',
    badttl: 'messages whose TTL is not 1',
    badtype: 'messages of an unknown type',
    badquery: 'queries that cannot be',
    badreport: 'reports of another group, or from elsewhere',
    queries: 'queries received',
    reports: 'reports of other hosts received',
    suppressed: 'reports not sent because another host sent them',
    forrouters: 'messages for routers',
    sent: 'messages sent',
    nobufs: 'messages not sent for want of a slot, or because the link refused them',
  },
};

/** UDP (RFC 768). */
export class UdpStat {
  ipackets = 0;
  hdrops = 0;
  badsum = 0;
  nosum = 0;
  badlen = 0;
  noport = 0;
  noportbcast = 0;
  /** To a group that no socket of the port joined, or from a source that none wants. */
  filtermcast = 0;
  /** Came further than the socket allows (IP_MINTTL). */
  minttl = 0;
  fullsock = 0;
  opackets = 0;
  /** Errors of ICMP that reached a socket; that fitted none. */
  ctlerrors = 0;
  ctlnosock = 0;
  nobufs = 0;
}

/** Raw IP sockets. */
export class RawStat {
  ipackets = 0;
  fullsock = 0;
  opackets = 0;
  badhdrincl = 0;
  /** To a group that the socket did not join, though it joined others; came further than the socket allows (IP_MINTTL). */
  notmember = 0;
  minttl = 0;
}

/** All of them, one object per stack. */
export class InetStats {
  readonly ether = new EtherStat();
  readonly arp = new ArpStat();
  readonly ip = new IpStat();
  readonly frag = new FragStat();
  readonly route = new RouteStat();
  readonly icmp = new IcmpStat();
  readonly igmp = new IgmpStat();
  readonly udp = new UdpStat();
  readonly raw = new RawStat();
}
