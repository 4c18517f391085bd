/**
 * Counters of TCP, one object per stack: `netstat -s -p tcp`. Names are those of FreeBSD's tcpstat (netinet/tcp_var.h) where it has
 * them. Segments, unless it says otherwise. Every segment that is dropped is in one of them.
 */
import { FLOAT } from '../../../kern/float.ts';

export class TcpStats {
  /** Connections begun here, accepted, established (both kinds), closed, and dropped in any state. */
  connattempt = 0;
  accepts = 0;
  connects = 0;
  closed = 0;
  drops = 0;
  /** Connections that ended before they were established. */
  conndrops = 0;

  /** Received in all, and refused by their header: length, data offset, checksum, address of a group, option lengths (those go on). */
  rcvtotal = 0;
  rcvshort = 0;
  rcvbadoff = 0;
  rcvbadsum = 0;
  rcvgroup = 0;
  rcvbadopt = 0;
  /** Came further than the socket allows (IP_MINTTL). */
  minttl = 0;
  /** Data in order, segments and bytes; out of order; duplicates, whole and in part; beyond the window. */
  rcvpack = 0;
  rcvbyte = FLOAT;
  rcvoopack = 0;
  rcvoobyte = 0;
  rcvduppack = 0;
  rcvdupbyte = 0;
  rcvpartduppack = 0;
  rcvpartdupbyte = 0;
  rcvpackafterwin = 0;
  rcvbyteafterwin = 0;
  /** Data for a connection whose user has closed it. */
  rcvafterclose = 0;
  /** Probes of a zero window; window updates. */
  rcvwinprobe = 0;
  rcvwinupd = 0;
  /** ACKs: that acknowledge something (and how many bytes), duplicates, of what was never sent. */
  rcvackpack = 0;
  rcvackbyte = FLOAT;
  rcvdupack = 0;
  rcvacktoomuch = 0;
  rcvacktooold = 0;
  /** Without the ACK bit where it must be; with no timestamp where it was agreed. */
  rcvnoack = 0;
  /** In SYN-SENT, neither a SYN nor a reset. */
  rcvnosyn = 0;
  rcvnotstamp = 0;
  /** Out-of-order data that found no buffer; that found the list of ranges full. */
  rcvmemdrop = 0;
  rcvreassfull = 0;
  rcvurg = 0;
  /** Old timestamps (RFC 7323 §5). */
  pawsdrop = 0;
  /** Header prediction: pure ACKs, and data. */
  predack = 0;
  preddat = 0;

  /** Resets received: taken, outside the window, in the window but not exact. */
  rcvrst = 0;
  rstoutwin = 0;
  rstchallenge = 0;
  /** SYN on a synchronised connection. */
  synchallenge = 0;
  /** Challenge ACKs sent; held back by the limits. */
  challengeack = 0;
  challengelimited = 0;
  /** Segments for no connection and no listener; resets sent; resets held back. */
  noport = 0;
  sndrst = 0;
  rstlimited = 0;

  sndtotal = 0;
  sndpack = 0;
  sndbyte = FLOAT;
  /** Data sent again. */
  sndrexmitpack = 0;
  sndrexmitbyte = 0;
  sndacks = 0;
  sndprobe = 0;
  sndurg = 0;
  sndwinup = 0;
  /** SYN and FIN, and resets: without data. */
  sndctrl = 0;
  /** No slot in the interface's ring; refused by the network layer. */
  sndnobufs = 0;
  snderror = 0;
  delack = 0;

  rexmttimeo = 0;
  timeoutdrop = 0;
  /** User timeout options (RFC 5482): sent behind the SYN, and taken. */
  utosent = 0;
  utorcvd = 0;
  persisttimeo = 0;
  persistdrop = 0;
  keeptimeo = 0;
  keepprobe = 0;
  keepdrops = 0;
  finwait2drops = 0;

  /** Loss recovery: begun by duplicate ACKs, partial ACKs in it. */
  fastrexmit = 0;
  partialack = 0;
  limitedtransmit = 0;
  /** Recoveries by SACK, and what they sent again: pieces, bytes; retransmissions that were lost. */
  sack_recovery_episode = 0;
  sack_rexmits = 0;
  sack_rexmit_bytes = 0;
  sack_lostrexmits = 0;
  /** SACK blocks that came; that name what cannot be; of duplicates (RFC 2883); splits refused by the limit of ranges; reneging peers. */
  sack_rcv_blocks = 0;
  sack_badblock = 0;
  rcvdsack = 0;
  sack_limited = 0;
  sack_renege = 0;
  /** RACK: times that the reordering window ran out; tail loss probes, and losses that they repaired; reductions taken back. */
  rackreo = 0;
  tlpprobe = 0;
  tlprecovered = 0;
  spuriousrexmit = 0;
  /** Slow start left because delay grew (HyStart++). */
  hystartexit = 0;
  segstimed = 0;
  rttupdated = 0;
  mturesent = 0;

  /** Malformed SYN: to or from an address that cannot be, from itself, with other flags. */
  badsyn = 0;
  /** SYN refused because the queue of complete connections is full; ACK that waits for it. */
  listendrop = 0;
  /** Connections half open, without a socket. */
  sc_added = 0;
  sc_completed = 0;
  sc_dupsyn = 0;
  sc_retransmitted = 0;
  sc_dropped = 0;
  sc_overflow = 0;
  sc_reset = 0;
  sc_stale = 0;
  sc_badack = 0;
  sc_unreach = 0;
  sc_aborted = 0;
  sc_sendcookie = 0;
  sc_recvcookie = 0;
  sc_badcookie = 0;
  /** SYNs from an address that no route leads to. */
  sc_noroute = 0;

  /** TIME-WAIT: entered, taken before their time, reused by a new connection, segments that came, resets ignored. */
  tw_added = 0;
  tw_recycled = 0;
  tw_reused = 0;
  tw_rcv = 0;
  tw_rstignored = 0;

  /** ICMP about a connection: that is not there, taken, with a sequence number or an MTU that cannot be, path MTU lowered, source quench. */
  icmpnoconn = 0;
  icmptaken = 0;
  icmpbadseq = 0;
  icmpbadmtu = 0;
  quenchignored = 0;

  /**
   * Explicit congestion notification: connections with it that we opened, that we accepted; marks that came (CE, ECT(0), ECT(1)), ECE that
   * came, times the window was lowered for it; segments sent as ECT(0).
   */
  ecn_client_setup = 0;
  ecn_server_setup = 0;
  ecn_rcvce = 0;
  ecn_rcvect0 = 0;
  ecn_rcvect1 = 0;
  ecn_rcvece = 0;
  ecn_rcwnd = 0;
  ecn_sndect0 = 0;
  /**
   * AccECN: connections whose peer says that our SYN or SYN,ACK came unmarked, as ECT(1), ECT(0), CE; marks that the peer told of; connections
   * that stopped marking because marks or feedback are tampered with; that believe no feedback, because it was cleared or never ends.
   */
  ace_nect = 0;
  ace_ect1 = 0;
  ace_ect0 = 0;
  ace_ce = 0;
  ace_rcvcep = 0;
  ace_mangled = 0;
  ace_ignored = 0;

  /**
   * TCP Fast Open. Server: cookies asked for, wrong ones, refused because too many are pending, connections opened by a SYN. Client: SYNs with
   * data, their data taken, cookies received, servers to which such SYNs get lost.
   */
  tfo_request = 0;
  tfo_badcookie = 0;
  tfo_full = 0;
  tfo_passive = 0;
  tfo_active = 0;
  tfo_accepted = 0;
  tfo_cookie = 0;
  tfo_blackhole = 0;

  /** Black holes: segments made smaller, DF taken off, given up (it was not the size); probes upward: sent, arrived, lost. */
  pmtudblackhole = 0;
  pmtudblackholecut = 0;
  pmtudblackholefailed = 0;
  pmtudprobe = 0;
  pmtudprobeok = 0;
  pmtudprobelost = 0;

  /** Buffers that grew, receiving and sending; that did not because memory is short; windows kept small for that. */
  rcvbufgrown = 0;
  sndbufgrown = 0;
  bufpressure = 0;
  rcvpressure = 0;

  /** Connections handed to another function block. */
  fbswitched = 0;

  /** A transition that is not in the table of states. Always 0. */
  badstate = 0;

  constructor() {
    this.rcvbyte = this.rcvackbyte = this.sndbyte = 0;
  }
}
