/**
 * Counters of the stack, by FreeBSD's groups and names (netstat -s) where it has them; group `alt` is what only this stack has.
 * Every frame that is dropped increments exactly one of those marked (drop).
 */
import { FLOAT } from '../../kern/float.ts';

export class EtherCounters {
  /** Shorter than a header (drop); for another station (drop); of a type that is not handled (drop). */
  runts = 0;
  notforus = 0;
  noproto = 0;
}

export class ArpCounters {
  txrequests = 0;
  txreplies = 0;
  rxrequests = 0;
  rxreplies = 0;
  received = 0;
  /** Malformed, or from an address that no station can have (drop). */
  badlen = 0;
  badsource = 0;
  /** Nothing in it for us (drop). */
  ignored = 0;
  /** Packets that waited for an answer in vain, or had no room to wait. */
  dropped = 0;
  timeouts = 0;
  /** Entries given up for newer ones in a full set. */
  evicted = 0;
  /** Another station claims our address. */
  dupips = 0;
  /** Requests for an address before it is used; those that were another station's. */
  txprobes = 0;
  dadconflicts = 0;
}

export class IpCounters {
  total = 0;
  delivered = 0;
  localout = 0;
  /** Input drops. */
  badvers = 0;
  badhlen = 0;
  tooshort = 0;
  toosmall = 0;
  badlen = 0;
  badsum = 0;
  badaddr = 0;
  cantforward = 0;
  noproto = 0;
  ifdown = 0;
  /** Fragments received; of those dropped: overlap or impossible length, no room, waited too long. Datagrams put together. */
  fragments = 0;
  fragdropped = 0;
  fragtimeout = 0;
  reassembled = 0;
  /** Output: without a route, without a slot, cut into fragments, fragments made, too big to be cut. */
  noroute = 0;
  odropped = 0;
  fragmented = 0;
  ofragments = 0;
  cantfrag = 0;
}

export class IcmpCounters {
  /** Drops: short, bad checksum, unknown or not ours to answer. */
  tooshort = 0;
  checksum = 0;
  badcode = 0;
  ignored = 0;
  bmcastecho = 0;
  echo = 0;
  reflect = 0;
  /** Errors sent; held back by the rate limit; held back by the rules of RFC 1122 §3.2.2. */
  error = 0;
  limited = 0;
  oldicmp = 0;
  /** Errors received, and of those the ones that named nothing of ours. */
  errin = 0;
  errunknown = 0;
}

export class UdpCounters {
  ipackets = 0;
  opackets = 0;
  /** Drops. */
  hdrops = 0;
  badsum = 0;
  badlen = 0;
  noport = 0;
  noportbcast = 0;
  /** Came further than the socket allows (IP_MINTTL). */
  minttl = 0;
  fullsock = 0;
  nosum = 0;
}

export class TcpCounters {
  connattempt = 0;
  accepts = 0;
  connects = 0;
  drops = 0;
  conndrops = 0;
  closed = 0;
  timeoutdrop = 0;
  keeptimeo = 0;
  keepprobe = 0;
  keepdrops = 0;
  finwait2_drops = 0;
  delack = 0;
  rexmttimeo = 0;
  persisttimeo = 0;
  persistdrop = 0;
  segstimed = 0;
  rttupdated = 0;
  sndtotal = 0;
  sndpack = 0;
  sndbyte = FLOAT;
  sndrexmitpack = 0;
  sndrexmitbyte = 0;
  sndacks = 0;
  sndctrl = 0;
  sndprobe = 0;
  rcvtotal = 0;
  /** Drops. */
  rcvshort = 0;
  rcvbadoff = 0;
  rcvbadsum = 0;
  rcvbadaddr = 0;
  /** Came further than the socket allows (IP_MINTTL). */
  minttl = 0;
  badsyn = 0;
  rcvpack = 0;
  rcvbyte = FLOAT;
  rcvduppack = 0;
  rcvdupbyte = 0;
  rcvpartdupbyte = 0;
  rcvoopack = 0;
  rcvoobyte = 0;
  rcvoodrop = 0;
  rcvpackafterwin = 0;
  rcvbyteafterwin = 0;
  rcvafterclose = 0;
  rcvwinprobe = 0;
  rcvdupack = 0;
  rcvacktoomuch = 0;
  rcvacktooold = 0;
  rcvackpack = 0;
  rcvackbyte = FLOAT;
  rcvnoack = 0;
  pawsdrop = 0;
  tsmissing = 0;
  badrst = 0;
  rcvrst = 0;
  challengeack = 0;
  challengeacklimited = 0;
  rstlimited = 0;
  closedport = 0;
  listendrop = 0;
  /** Half-open connections begun; segments for a connection in TIME-WAIT. */
  sc_added = 0;
  timewaitrcv = 0;
  sc_sendcookie = 0;
  sc_recvcookie = 0;
  sc_badcookie = 0;
  sc_dupsyn = 0;
  sc_retransmitted = 0;
  sc_stale = 0;
  sc_reset = 0;
  sack_recovery_episode = 0;
  sack_rexmits = 0;
  sack_rexmit_bytes = 0;
  sack_rcv_blocks = 0;
  sack_send_blocks = 0;
  sack_lostrexmt = 0;
  newreno_episode = 0;
  tlpprobes = 0;
  timewait = 0;
  timewaitrecycled = 0;
  timewaitreused = 0;
  pmtuchanged = 0;
  /** An ICMP error with an MTU that no link has. */
  icmpbadmtu = 0;
  /** Smaller segments tried where full ones vanish, DF given up for it, in vain; larger ones tried again, well, in vain. */
  pmtudblackhole = 0;
  pmtudblackholecut = 0;
  pmtudblackholefailed = 0;
  pmtudprobe = 0;
  pmtudprobeok = 0;
  pmtudprobelost = 0;
  hystartexit = 0;
  icmpbadseq = 0;

  constructor() {
    this.rcvbyte = this.rcvackbyte = this.sndbyte = 0;
  }
}

/** Raw ICMP sockets: messages to them, sent, lost because one was full; sockets that there was no row for. */
export class RawCounters {
  ipackets = 0;
  opackets = 0;
  fullsock = 0;
  nosock = 0;
  minttl = 0;
}

/** What only this stack has: limits that were met. */
export class AltCounters {
  /** No flow for a socket or a SYN; no record for out-of-order data or SACK. */
  noflow = 0;
  norange = 0;
  /** Output put off because the link had no slot. */
  txblocked = 0;
  loopfull = 0;
  /** Receive buffers that grew, and that did not because the kernel's buffers are short. */
  rcvbufgrown = 0;
  sndbufgrown = 0;
  bufpressure = 0;
  noudpsock = 0;
}

export class AltCounterSet {
  readonly ether = new EtherCounters();
  readonly arp = new ArpCounters();
  readonly ip = new IpCounters();
  readonly icmp = new IcmpCounters();
  readonly udp = new UdpCounters();
  readonly raw = new RawCounters();
  readonly tcp = new TcpCounters();
  readonly alt = new AltCounters();
}
