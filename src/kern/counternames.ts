/**
 * What counters mean, by the names that netstat(1) shows and FreeBSD's structures have (ip_var.h, icmp_var.h, udp_var.h, tcp_var.h, if_arp.h):
 * a stack that uses these names need not say it again. A line is a name, `!` where the counter says that a packet that came was dropped, `>`
 * one that was to be sent, `=` where it is a gauge, and a sentence. What a source says at its own registration goes before it.
 */

export interface CounterName {
  /** A packet was dropped: one that came, one that was to be sent. */
  readonly drop: 'in' | 'out' | null;
  readonly gauge: boolean;
  readonly help: string;
}

const TEXT: Readonly<Record<string, string>> = {
  ether: `
    runts ! frames shorter than an Ethernet header
    notforus ! frames for another station
    llc ! frames with a length instead of a type
    noproto ! frames of a type that nobody speaks here`,
  arp: `
    received ARP packets received
    rxrequests requests received
    rxreplies replies received
    txrequests requests sent
    txreplies replies sent
    txannounces announcements of our own addresses
    txprobes requests for an address before it is used
    dadconflicts addresses that were not used because another station has them
    disabled ! packets on an interface that does without ARP
    tooshort ! packets shorter than an ARP packet
    badlen ! packets of another length or kind
    badfmt ! packets of other hardware or protocols
    badop ! neither request nor reply
    badsource ! a sender's address that nobody can have
    badsha ! a sender's hardware address that nobody can have
    badspa ! a sender's protocol address that nobody can have
    offlink ! a sender outside our subnets
    own ! our own packets that came back
    ignored ! packets with nothing in them for us
    dupips another station uses our address
    defended defences of an address of ours
    moved neighbours that changed their hardware address
    permrefused ! changes refused because the entry is permanent
    timeouts entries that ran out
    failed entries that nobody answered for
    evicted entries that made room for others
    held packets that waited for an answer
    dropped > packets that waited for an answer in vain, or had no room to
    holddown packets refused because the neighbour did not answer a moment ago`,
  ip: `
    total packets received
    badsum ! header checksum is wrong
    tooshort ! shorter than its header or its length
    toosmall ! shorter than any header
    badhlen ! header length is wrong
    badlen ! length is wrong
    badvers ! not version 4
    badoptions ! options are malformed
    srcroute ! source-routed
    badaddr ! an address that cannot be on this link
    linkbcast ! a unicast address in a link broadcast
    cantforward ! not for this host
    notmember ! a group that nobody here joined
    delivered packets handed to a protocol
    noproto ! a protocol that nobody speaks here
    localout packets sent
    rawout packets sent with the user's own header
    odropped > packets to send dropped for want of room
    noroute > packets to send without a route
    ifdown > packets for an interface that is down
    fragmented packets cut into fragments
    ofragments fragments sent
    cantfrag > packets too big for the link that must not be cut
    ttlzero > to a group with a TTL of 0
    swcsum transport checksums completed here
    looped packets to ourselves
    loopdropped > packets to ourselves that found the queue full
    fragments fragments received
    fragdropped ! fragments dropped: overlap, impossible length, no room
    fragtimeout datagrams that were not complete in time
    reassembled datagrams put together`,
  ip6: `
    total packets received
    delivered packets handed to a protocol
    localout packets sent
    noproto ! a protocol that nobody speaks here
    cantforward ! not for this host
    notmember ! a group that nobody here joined
    tooshort ! shorter than its header or its length
    toosmall ! shorter than any header
    badvers ! not version 6
    badoptions ! options are malformed
    odropped > packets to send dropped for want of room`,
  frag: `
    fragments fragments received
    reassembled datagrams put together
    fragdropped ! fragments dropped: their datagram was given up
    evicted datagrams given up for want of room
    fragtimeout datagrams that were not complete in time
    toomany datagrams in too many pieces
    badlen ! fragments of an impossible length
    toolong ! fragments that end beyond the longest datagram
    duplicate ! fragments that came twice
    overlap datagrams given up because pieces overlap
    badecn datagrams whose congestion marks contradict each other`,
  route: `
    lookups lookups in the routing table
    unreach destinations without a route
    evicted cached routes that made room for others
    pmtulowered path MTUs lowered
    pmturefused path MTUs refused as bogus
    pmtuexpired path MTUs forgotten by age
    pmtuevicted path MTUs that made room for others`,
  icmp: `
    tooshort ! shorter than its header or its quotation
    checksum ! checksum is wrong
    badcode ! unknown code
    badlen ! the quotation is cut short
    badaddr ! errors sent to a group
    inecho echo requests received
    inechoreply echo replies received
    inunreach unreachable messages received
    intimxceed time exceeded messages received
    inparamprob parameter problem messages received
    intstamp timestamp requests received
    intstampreply timestamp replies received
    inother other messages received
    quench source quench messages received, which do nothing
    redirect redirects received, which do nothing
    bmcastecho ! echo requests to a group
    bmcasttstamp ! timestamp requests to a group
    reflect answers sent
    outoptions answers with record route or timestamps
    notours ! errors about packets that are not ours
    noctl ! errors about a protocol that is not here
    outunreach unreachable messages sent
    outtimxceed time exceeded messages sent
    outparamprob parameter problem messages sent
    error_suppressed errors not sent, as the rules say
    error_ratelimited errors not sent because of the rate
    noroute answers without a route
    nobufs answers without room
    ignored ! messages that nothing is done about
    echo echo requests received
    error errors sent
    limited errors not sent because of the rate
    oldicmp errors not sent, as the rules say
    errin errors received
    errunknown ! errors that name nothing of ours`,
  udp: `
    ipackets datagrams received
    opackets datagrams sent
    hdrops ! shorter than a header
    badsum ! checksum is wrong
    nosum datagrams without a checksum
    badlen ! length is wrong
    noport ! no socket on the port
    noportbcast ! no socket on the port of a group's datagram
    filtermcast ! no socket on the port that joined the group, or wants the source
    minttl ! came further than the socket allows (IP_MINTTL)
    fullsock ! the socket's buffer is full
    ctlerrors ICMP errors that reached a socket
    ctlnosock ! ICMP errors that fitted no socket
    nobufs > datagrams to send without room`,
  raw: `
    ipackets packets for raw sockets
    fullsock ! the socket's buffer is full
    opackets packets sent
    badhdrincl > packets to send with a bad header
    notmember packets not shown to a socket that joined other groups only
    minttl packets not shown to a socket because they came too far (IP_MINTTL)
    nosock sockets refused because there are enough`,
  tcp: `
    connattempt connections begun here
    accepts connections accepted
    connects connections established
    closed connections closed
    drops connections dropped
    conndrops connections that ended before they were established
    rcvtotal segments received
    rcvshort ! shorter than a header
    rcvbadoff ! data offset is wrong
    rcvbadsum ! checksum is wrong
    rcvgroup ! sent to a group
    rcvbadaddr ! sent to a group
    rcvbadopt segments with malformed options
    minttl ! came further than the socket allows (IP_MINTTL)
    rcvpack segments of data in order
    rcvbyte bytes of data in order
    rcvoopack segments out of order
    rcvoobyte bytes out of order
    rcvoodrop ! segments out of order without room
    rcvduppack segments with nothing new in them
    rcvdupbyte bytes that came twice
    rcvpartduppack segments with something old in them
    rcvpartdupbyte old bytes in them
    rcvpackafterwin ! segments beyond the window
    rcvbyteafterwin bytes beyond the window
    rcvafterclose ! segments of data for a user that has gone
    rcvwinprobe probes of a closed window
    rcvwinupd window updates
    rcvackpack segments that acknowledge something
    rcvackbyte bytes that were acknowledged
    rcvdupack duplicate acknowledgments
    rcvacktoomuch ! acknowledgments of what was never sent
    rcvacktooold ! acknowledgments older than a window
    rcvnoack ! segments without an acknowledgment
    rcvnosyn ! segments in SYN-SENT that open nothing
    rcvnotstamp ! segments without the agreed timestamp
    tsmissing ! segments without the agreed timestamp
    rcvmemdrop ! segments out of order without a buffer
    rcvreassfull ! segments out of order with too many holes
    rcvurg urgent marks
    pawsdrop ! segments with an old timestamp
    predack acknowledgments taken by header prediction
    preddat segments of data taken by header prediction
    rcvrst resets taken
    badrst ! resets outside what they must be
    rstoutwin ! resets outside the window
    rstchallenge ! resets in the window that are not exact
    synchallenge ! SYNs for a connection that stands
    challengeack challenge ACKs sent
    challengelimited challenge ACKs held back
    challengeacklimited challenge ACKs held back
    noport ! segments for no connection and no listener
    closedport ! segments for no connection and no listener
    sndrst resets sent
    rstlimited resets held back
    sndtotal segments sent
    sndpack segments of data sent
    sndbyte bytes sent
    sndrexmitpack segments sent again
    sndrexmitbyte bytes sent again
    sndacks acknowledgments sent
    sndprobe probes of a closed window sent
    sndurg segments with an urgent mark sent
    sndwinup window updates sent
    sndctrl segments of control sent
    sndnobufs segments without a slot in the ring
    snderror segments refused by the network layer
    delack delayed acknowledgments
    rexmttimeo retransmission timeouts
    timeoutdrop connections dropped by the retransmission timer
    persisttimeo persist timeouts
    persistdrop connections dropped by the persist timer
    keeptimeo keep-alive timeouts
    keepprobe keep-alive probes sent
    keepdrops connections dropped by keep-alive
    finwait2drops connections dropped in FIN-WAIT-2
    finwait2_drops connections dropped in FIN-WAIT-2
    fastrexmit recoveries begun by duplicate ACKs
    partialack partial acknowledgments in recovery
    limitedtransmit segments sent by limited transmit
    segstimed segments that were timed
    rttupdated measurements of the round trip
    mturesent segments sent again for a smaller MTU
    badsyn ! malformed SYNs, and SYNs where none may be
    listendrop ! SYNs refused because the queue is full
    sc_added half-open connections
    sc_completed half-open connections that were completed
    sc_dupsyn SYNs that came twice
    sc_retransmitted SYN,ACKs sent again
    sc_dropped half-open connections given up for others
    sc_overflow SYNs that found no room
    sc_reset half-open connections that were reset
    sc_stale half-open connections that ran out
    sc_badack ! acknowledgments that fit no half-open connection
    sc_unreach half-open connections whose peer is unreachable
    sc_aborted half-open connections that could not be completed
    sc_sendcookie SYN cookies sent
    sc_recvcookie SYN cookies that came back
    sc_badcookie SYN cookies that are none of ours
    sc_noroute ! SYNs from an address that no route leads to
    tw_added connections that entered TIME-WAIT
    tw_recycled connections in TIME-WAIT given up for others
    tw_reused connections in TIME-WAIT replaced by a new one
    tw_rcv segments for a connection in TIME-WAIT
    tw_rstignored ! resets for a connection in TIME-WAIT
    timewait connections that entered TIME-WAIT
    timewaitrecycled connections in TIME-WAIT given up for others
    timewaitreused connections in TIME-WAIT replaced by a new one
    timewaitrcv segments for a connection in TIME-WAIT
    icmpnoconn ICMP errors about no connection
    icmptaken ICMP errors that were believed
    icmpbadseq ICMP errors with an impossible sequence number
    quenchignored source quench messages
    pmtuchanged path MTUs lowered
    badstate transitions that are not in the diagram
    sack_recovery_episode recoveries by SACK
    sack_rexmits segments sent again by SACK
    sack_rexmit_bytes bytes sent again by SACK
    sack_rcv_blocks SACK blocks received
    sack_send_blocks SACK blocks sent
    sack_badblock SACK blocks that name what cannot be
    sack_lostrexmits retransmissions that were lost
    sack_lostrexmt retransmissions that were lost
    newreno_episode recoveries without SACK
    rcvdsack SACK blocks that name duplicates
    tlpprobe tail loss probes
    tlpprobes tail loss probes
    tlprecovered losses that a tail loss probe repaired
    spuriousrexmit reductions taken back because the retransmission was not needed
    rackreo times that the reordering window ran out
    hystartexit slow start left because delay grew
    ecn_rcvce segments marked CE
    ecn_rcvece segments with ECE
    ecn_sndect0 segments sent as ECT(0)
    utosent user timeout options sent behind the SYN
    utorcvd user timeout options taken
    ace_nect AccECN peers that say our SYN or SYN,ACK came unmarked
    ace_ect1 AccECN peers that say our SYN or SYN,ACK came as ECT(1)
    ace_ect0 AccECN peers that say our SYN or SYN,ACK came as ECT(0)
    ace_ce AccECN peers that say our SYN or SYN,ACK came marked CE
    ace_rcvcep marks CE that AccECN peers told of
    ace_mangled connections that stopped marking because marks are tampered with
    ace_ignored connections that believe no AccECN feedback because it was cleared or never ends
    rcvbufgrown receive buffers that grew
    sndbufgrown send buffers that grew`,
  alt: `
    noflow connections without a row
    norange segments out of order without a record
    txblocked output put off because the link had no slot
    loopfull packets to ourselves that found the ring full
    noudpsock datagram sockets without a row`,
  socket: `
    created sockets made
    closed sockets closed
    listenoverflow ! connections refused because the queue is full
    incompdropped connections that waited for too long in front of the queue
    acceptaborted connections that had died before they were accepted
    dgramdropped datagrams that did not fit into a buffer
    rcvshutbytes bytes that came after the user had shut down reading
    nobufs requests that the buffer pool refused
    nobufsaborted connections that ended because of it
    accfready connections that an accept filter passed on complete
    accfforced connections that an accept filter passed on otherwise`,
  bufpool: `
    used = bytes in use
    cached = bytes kept for use
    denied requests that were refused`,
  syscall: `
    calls system calls
    nosys calls that are not there`,
  callout: `
    resets timers that were set
    fired timers that went off
    wakeups times that the host's timer went off`,
  netisr: `
    overbudget rounds of work that were put off to the host's next turn`,
  sysctl: `
    badtunable tunables whose value was refused
    badwrite writes that were refused`,
  pcap: `
    blocks blocks written to the trace
    bytes bytes written to the trace
    lost blocks that came after the trace had ended`,
  driver: `
    rxbatches batches read from the device
    rxframes frames read from the device
    rxdown frames that came while the interface was down
    rxrunt frames that were too short
    rxerror reads that failed
    txbatches batches written to the device
    txframes frames written to the device
    txrefused frames that the device refused
    txinvalid frames that could not be written as they were
    txblocked times that the device took no more
    txdoublefree slots that were given back twice`,
  service: `
    accepted connections accepted
    closed connections closed
    aborted connections ended by a reset at shutdown
    received bytes received
    sent bytes sent
    requests requests served
    badRequests requests that were refused
    bytesServed bytes served
    bytesSunk bytes taken
    broken requests that broke off`,
  control: `
    clients clients of the control socket
    refused clients refused because there are too many
    requests requests served
    errors requests answered with an error
    malformed clients sent away for a malformed line
    oversized clients sent away for a line that is too long
    flooding clients sent away for too many unfinished calls
    nobufs clients sent away because all together held too much memory
    streams = captures and other streams that are running
    membytes = bytes that clients hold here
    lostitems items of captures and events that clients did not read in time`,
};

function parse(): ReadonlyMap<string, CounterName> {
  const names = new Map<string, CounterName>();
  for (const [group, text] of Object.entries(TEXT)) {
    for (const line of text.split('\n')) {
      const [, name, mark, help = ''] = /^\s*(\S+) (?:([!>=]) )?(.+)$/.exec(line) ?? [];
      if (name !== undefined)
        names.set(`${group}.${name}`, { drop: mark === '!' ? 'in' : mark === '>' ? 'out' : null, gauge: mark === '=', help });
    }
  }
  return names;
}

/** What is known of a counter: by its group and name, else by the first part of its group (`service.http` is a `service`). */
export function counterName(group: string, name: string): CounterName | null {
  return COUNTER_NAMES.get(`${group}.${name}`) ?? COUNTER_NAMES.get(`${group.split('.', 1)[0] ?? ''}.${name}`) ?? null;
}

/** By group and name with a dot between. */
const COUNTER_NAMES: ReadonlyMap<string, CounterName> = parse();
