/*
 * The floor: what any program pays that answers on a TAP. It does what a stack must do so that the bench's clients are content, and
 * nothing that a stack ought to: no timers, no retransmission, no congestion control, no checks, one interface, one address. Frames
 * are read in batches and what a batch makes due is sent once, at its end. A stack that comes near it has no cost of its own worth
 * naming; a target beyond it cannot be met on this device. Echo (RFC 862) on 7, discard (863) on 9, chargen (864) on 19, HTTP on 80.
 *
 * usage: floor DEVICE [--offload=off] [--window=BYTES] [--burst=BYTES]
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#define ADDRESS 0x0a4d0002u
#define VNET 10
#define ETHER 14
#define HEAD (VNET + ETHER + 20 + 20)
#define MSS 1460
#define SUPER (44 * MSS)
#define PERIOD (95 * 74)
#define SLOT 69632
#define SLOTS 64
#define SCALE 9
/* A connection's place: the last five bits of the client's address, and its port. */
#define CONNS (32 * 65536)

struct conn {
  uint32_t una, nxt, rcv, window;
  uint32_t address;
  uint16_t port, local;
  unsigned char scale, head, due, open;
  /* HTTP: answers owed; chargen: place in the text of what is sent next. */
  unsigned owed;
};

static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello";
static const unsigned char mac[6] = {0x02, 0x12, 0x34, 0x56, 0x78, 0xab};
static unsigned char peer[6], text[SUPER + PERIOD], answers[256 * sizeof ANSWER], slots[SLOTS][SLOT];
static struct conn *conns, *due[4096];
static unsigned ndue, opened;
static uint32_t window = 4u << 20, burst = 1u << 20;
static int tap, offload = 1;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static uint32_t sum(uint32_t s, const void *data, size_t len) {
  const unsigned char *p = data;
  uint64_t wide = s;
  for (; len >= 4; p += 4, len -= 4) {
    uint32_t word;
    memcpy(&word, p, 4);
    wide += word;
  }
  if (len >= 2) {
    uint16_t half;
    memcpy(&half, p, 2);
    wide += half;
    p += 2;
    len -= 2;
  }
  if (len > 0) wide += *p;
  wide = (wide & 0xffffffff) + (wide >> 32);
  wide = (wide & 0xffffffff) + (wide >> 32);
  wide = (wide & 0xffff) + (wide >> 16);
  return (uint32_t)((wide & 0xffff) + (wide >> 16));
}

static uint16_t fold(uint32_t s) {
  s = (s & 0xffff) + (s >> 16);
  return (uint16_t)(s + (s >> 16));
}

/* One frame of a connection: its payload lies where it is. */
static void segment(struct conn *c, uint8_t flags, uint32_t seq, const void *data, size_t len) {
  static unsigned char head[HEAD + 8];
  static uint16_t id;
  size_t options = flags & TH_SYN ? 8 : 0;
  struct virtio_net_hdr *v = (void *)head;
  struct ip *ip = (void *)(head + VNET + ETHER);
  struct tcphdr *tcp = (void *)(head + VNET + ETHER + 20);
  memset(head, 0, VNET);
  memcpy(head + VNET, peer, 6);
  memcpy(head + VNET + 6, mac, 6);
  head[VNET + 12] = 8;
  head[VNET + 13] = 0;
  *ip = (struct ip){.ip_v = 4, .ip_hl = 5, .ip_len = htons((uint16_t)(40 + options + len)), .ip_id = htons(id++), .ip_off = htons(IP_DF),
                    .ip_ttl = 64, .ip_p = IPPROTO_TCP, .ip_src.s_addr = htonl(ADDRESS), .ip_dst.s_addr = c->address};
  ip->ip_sum = (uint16_t)~fold(sum(0, ip, 20));
  memset(tcp, 0, 20);
  tcp->th_sport = c->local;
  tcp->th_dport = c->port;
  tcp->th_seq = htonl(seq);
  tcp->th_ack = htonl(c->rcv);
  tcp->th_off = (uint8_t)(5 + options / 4);
  tcp->th_flags = flags;
  uint32_t space = opened > 16 ? 65536 * 4 : window;
  tcp->th_win = htons(flags & TH_SYN ? 65535 : (uint16_t)(space >> SCALE));
  if (options > 0) memcpy(tcp + 1, (unsigned char[]){2, 4, MSS >> 8, MSS & 255, 1, 3, 3, SCALE}, 8);
  uint32_t s = sum(0, &ip->ip_src, 8) + htons(IPPROTO_TCP) + htons((uint16_t)(20 + options + len));
  if (offload) {
    tcp->th_sum = fold(s);
    v->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    v->csum_start = ETHER + 20;
    v->csum_offset = 16;
    v->hdr_len = (uint16_t)(ETHER + 40 + options);
    if (len > MSS) {
      v->gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
      v->gso_size = MSS;
    }
  } else {
    tcp->th_sum = (uint16_t)~fold(sum(sum(s, tcp, 20 + options), data, len));
  }
  struct iovec parts[2] = {{head, HEAD + options}, {(void *)data, len}};
  if (writev(tap, parts, len > 0 ? 2 : 1) < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EIO) fail("writev");
}

/* What the last batch made due on a connection. */
static void answer(struct conn *c) {
  size_t most = offload ? SUPER : MSS;
  c->due = 0;
  if (!c->open) return;
  if (c->local == htons(19)) {
    while (c->open) {
      uint32_t limit = c->window < burst ? c->window : burst, flight = c->nxt - c->una;
      if (flight + most > limit) break;
      segment(c, TH_ACK | TH_PUSH, c->nxt, text + c->owed, most);
      c->nxt += (uint32_t)most;
      c->owed = (unsigned)((c->owed + most) % PERIOD);
    }
    return;
  }
  if (c->owed == 0) {
    segment(c, TH_ACK, c->nxt, NULL, 0);
    return;
  }
  size_t len = c->owed * (sizeof ANSWER - 1);
  c->owed = 0;
  segment(c, TH_ACK | TH_PUSH, c->nxt, answers, len);
  c->nxt += (uint32_t)len;
}

static void make_due(struct conn *c) {
  if (c->due) return;
  if (ndue == sizeof due / sizeof *due) fail("too many at once");
  c->due = 1;
  due[ndue++] = c;
}

static void count_heads(struct conn *c, const unsigned char *p, size_t len) {
  for (size_t i = 0; i < len; i++) {
    if (p[i] == (c->head & 1 ? '\n' : '\r')) c->head++;
    else c->head = p[i] == '\r';
    if (c->head == 4) {
      c->head = 0;
      if (c->owed < 256) c->owed++;
    }
  }
}

static void tcp_input(const struct ip *ip, const struct tcphdr *tcp, size_t len) {
  struct conn *c = &conns[(ntohl(ip->ip_src.s_addr) & 31) << 16 | tcp->th_sport];
  uint32_t seq = ntohl(tcp->th_seq);
  if (tcp->th_flags & TH_SYN) {
    *c = (struct conn){.una = seq ^ 0x5a5a5a5a, .rcv = seq + 1, .address = ip->ip_src.s_addr, .port = tcp->th_sport, .local = tcp->th_dport, .open = 1};
    const unsigned char *o = (const unsigned char *)(tcp + 1), *end = (const unsigned char *)tcp + tcp->th_off * 4;
    for (; o < end && *o != 0; o += *o == 1 || o[1] == 0 ? 1 : o[1])
      if (*o == 3) c->scale = o[2];
    c->nxt = c->una + 1;
    opened++;
    segment(c, TH_SYN | TH_ACK, c->una, NULL, 0);
    return;
  }
  if (!c->open) return;
  if (tcp->th_flags & TH_RST) {
    c->open = 0;
    opened--;
    return;
  }
  uint32_t ack = ntohl(tcp->th_ack);
  if ((int32_t)(ack - c->una) > 0) c->una = ack;
  c->window = (uint32_t)ntohs(tcp->th_win) << c->scale;
  size_t off = (size_t)tcp->th_off * 4;
  const unsigned char *data = (const unsigned char *)tcp + off;
  len -= off;
  if (c->local == htons(19) && len == 0) make_due(c);
  if (len == 0 && !(tcp->th_flags & TH_FIN)) return;
  if (seq != c->rcv) {
    make_due(c);
    return;
  }
  c->rcv += (uint32_t)len;
  if (c->local == htons(80)) count_heads(c, data, len);
  if (c->local == htons(7) && len > 0) {
    segment(c, TH_ACK | TH_PUSH, c->nxt, data, len);
    c->nxt += (uint32_t)len;
  } else if (!(tcp->th_flags & TH_FIN)) {
    make_due(c);
  }
  if (tcp->th_flags & TH_FIN) {
    c->rcv++;
    if (c->owed > 0) answer(c);
    segment(c, TH_ACK | TH_FIN, c->nxt++, NULL, 0);
    c->open = 0;
    opened--;
  }
}

/* UDP and ICMP echo: the frame goes back as it lies; swapped, its sum is the same, and a partial one stays partial. */
static void turn_round(unsigned char *frame, size_t len, struct ip *ip) {
  struct in_addr from = ip->ip_src;
  memcpy(frame + VNET, frame + VNET + 6, 6);
  memcpy(frame + VNET + 6, mac, 6);
  ip->ip_src = ip->ip_dst;
  ip->ip_dst = from;
  if (write(tap, frame, len) < 0 && errno != EAGAIN && errno != ENOBUFS) fail("write");
}

static void arp(unsigned char *frame, size_t len) {
  unsigned char *a = frame + VNET + ETHER;
  uint32_t wanted;
  memcpy(&wanted, a + 24, 4);
  memcpy(peer, a + 8, 6);
  if (a[7] != 1 || ntohl(wanted) != ADDRESS) return;
  a[7] = 2;
  memcpy(a + 18, a + 8, 10);
  memcpy(a + 8, mac, 6);
  memcpy(a + 14, &wanted, 4);
  memcpy(frame + VNET, peer, 6);
  memcpy(frame + VNET + 6, mac, 6);
  if (write(tap, frame, len) < 0) fail("write");
}

static void input(unsigned char *frame, size_t len) {
  struct ip *ip = (void *)(frame + VNET + ETHER);
  if (len < VNET + ETHER + 28) return;
  if (frame[VNET + 12] == 8 && frame[VNET + 13] == 6) {
    arp(frame, len);
    return;
  }
  if (frame[VNET + 12] != 8 || frame[VNET + 13] != 0 || ntohl(ip->ip_dst.s_addr) != ADDRESS) return;
  memcpy(peer, frame + VNET + 6, 6);
  unsigned char *above = (unsigned char *)ip + 20;
  size_t n = ntohs(ip->ip_len) - 20u;
  if (ip->ip_p == IPPROTO_TCP) {
    tcp_input(ip, (struct tcphdr *)above, n);
  } else if (ip->ip_p == IPPROTO_UDP) {
    struct udphdr *udp = (void *)above;
    uint16_t port = udp->uh_sport;
    udp->uh_sport = udp->uh_dport;
    udp->uh_dport = port;
    turn_round(frame, len, ip);
  } else if (ip->ip_p == IPPROTO_ICMP && above[0] == 8) {
    uint16_t was;
    memcpy(&was, above + 2, 2);
    was = fold((uint32_t)was + htons(0x0800));
    memcpy(above + 2, &was, 2);
    above[0] = 0;
    turn_round(frame, len, ip);
  }
}

static void open_tap(const char *name) {
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  if (tap < 0 || ioctl(tap, TUNSETIFF, &request) < 0) fail(name);
  if (offload && ioctl(tap, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0) fail("TUNSETOFFLOAD");
}

int main(int argc, char **argv) {
  conns = calloc(CONNS, sizeof *conns);
  if (conns == NULL || argc < 2) return 2;
  for (int i = 2; i < argc; i++) {
    if (strcmp(argv[i], "--offload=off") == 0) offload = 0;
    else if (strncmp(argv[i], "--window=", 9) == 0) window = (uint32_t)atol(argv[i] + 9);
    else if (strncmp(argv[i], "--burst=", 8) == 0) burst = (uint32_t)atol(argv[i] + 8);
    else return 2;
  }
  for (size_t i = 0; i < sizeof text; i++) {
    size_t at = i % PERIOD, line = at / 74, column = at % 74;
    text[i] = column < 72 ? (unsigned char)(' ' + (line + column) % 95) : column == 72 ? '\r' : '\n';
  }
  for (size_t i = 0; i + sizeof ANSWER <= sizeof answers; i += sizeof ANSWER - 1) memcpy(answers + i, ANSWER, sizeof ANSWER);
  open_tap(argv[1]);
  puts("ready");
  fflush(stdout);
  for (;;) {
    struct pollfd p = {.fd = tap, .events = POLLIN};
    if (poll(&p, 1, -1) < 0 && errno != EINTR) fail("poll");
    for (int full = 1; full;) {
      int n = 0;
      ssize_t len[SLOTS];
      while (n < SLOTS && (len[n] = read(tap, slots[n], SLOT)) > 0) n++;
      full = n == SLOTS;
      for (int i = 0; i < n; i++) input(slots[i], (size_t)len[i]);
      for (unsigned i = 0; i < ndue; i++) answer(due[i]);
      ndue = 0;
    }
  }
}
