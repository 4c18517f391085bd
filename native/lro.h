/*
 * lro.h - large receive offload in software, for a device that hands over every segment by itself: segments of a TCP connection that came
 * one behind the other reach JavaScript as one frame, as a device with offload hands them over. Part of tap.c, which is all that
 * includes it.
 *
 * Interfaces: VIRTIO_NET_HDR_GSO_TCPV4 and VIRTIO_NET_HDR_F_DATA_VALID (virtio 1.3, 5.1.6.4), RFC 791, RFC 9293, RFC 1071, RFC 1624. What may
 * be merged is what Linux's GRO merges: tcp_lro(4) of FreeBSD takes more, such as segments with another acknowledgment.
 *
 * The stack must not be able to tell the difference, but by the number of frames. So everything but sequence number, length, PSH,
 * identification and checksums has to be equal, and whatever else a connection sends ends its frame, and comes behind it. The window too:
 * a frame has room for one, and one that was left out could have been the larger. A checksum that is wrong is found before the segment
 * goes into a frame that is marked as checked.
 */
#ifndef NETMOD_LRO_H
#define NETMOD_LRO_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "uso.h"

enum {
  LRO_FLOWS = 12,   /* frames that are open at a time */
  LRO_READS = 256,  /* segments that one batch takes at most */
  LRO_ROOM = 65600, /* for the longest frame and the room in front of it; a multiple of FRAME_STEP */
  LRO_IP_MAX = 65535,
  LRO_HDR = 14 + 20 + 20, /* a segment without options */
  LRO_FLAG_ACK = 0x10,
  LRO_FLAG_PSH = 0x08,
  /* Offsets in a frame. */
  AT_TYPE = 12,
  AT_IP = 14,
  AT_IP_LEN = 16,
  AT_FRAGMENT = 20,
  AT_TTL = 22,
  AT_PROTOCOL = 23,
  AT_IP_SUM = 24,
  AT_ADDRS = 26,
  AT_TCP = 34,
  AT_SEQ = 38,
  AT_ACK = 42,
  AT_HDR_LEN = 46,
  AT_FLAGS = 47,
  AT_WINDOW = 48,
  AT_TCP_SUM = 50,
};

/* What a frame is to the flows: nothing, something that ends all of its two addresses or its own, or a segment that can be merged. */
enum lro_kind { LRO_OTHER, LRO_ENDS_ADDRS, LRO_ENDS_FLOW, LRO_SEGMENT };

struct lro_flow {
  uint64_t addrs;
  uint32_t ports;
  uint32_t next;         /* sequence number that follows on */
  int32_t *entry;        /* in the receive table */
  uint8_t *f;            /* the frame; in front of it VNET_HDR bytes of room */
  size_t len, hdr, size; /* of the frame, of its headers, of a segment's payload */
  unsigned segments;
};

/* The open frames, the one that grew last in front; what one batch merged. */
struct lro {
  struct lro_flow flow[LRO_FLOWS];
  int n;
  int merged, frames;
};
_Static_assert(LRO_ROOM % FRAME_STEP == 0 && LRO_ROOM >= VNET_HDR + ETHER_HDR + LRO_IP_MAX, "a whole frame has to fit");

typedef uint64_t lro_words __attribute__((vector_size(16)));

/* Adds the 16-bit words as they lie in memory, `len` bytes; the halves of 64 bits add up in lanes of their own, so that nothing carries. */
static uint64_t lro_sum(const uint8_t *p, size_t len) {
  const lro_words low = {0xffffffff, 0xffffffff};
  lro_words sum = {0, 0};
  uint64_t rest = 0;
  for (; len >= 64; p += 64, len -= 64) {
    lro_words a, b, c, d;
    memcpy(&a, p, 16);
    memcpy(&b, p + 16, 16);
    memcpy(&c, p + 32, 16);
    memcpy(&d, p + 48, 16);
    sum += (a & low) + (b & low) + (c & low) + (d & low);
    sum += (a >> 32) + (b >> 32) + (c >> 32) + (d >> 32);
  }
  for (; len >= 4; p += 4, len -= 4) {
    uint32_t word;
    memcpy(&word, p, 4);
    rest += word;
  }
  if (len > 0) {
    uint8_t word[4] = {0, 0, 0, 0};
    uint32_t last;
    for (size_t i = 0; i < len; i++) word[i] = p[i];
    memcpy(&last, word, 4);
    rest += last;
  }
  return sum[0] + sum[1] + rest;
}

static unsigned lro_fold(uint64_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return (unsigned)sum;
}

/* The pseudo-header's sum (RFC 9293, 3.1), in the order of memory. */
static uint64_t lro_pseudo(const uint8_t *f, size_t tcp_len) {
  uint8_t word[4] = {0, 6};
  put16(word + 2, (unsigned)tcp_len);
  return lro_sum(f + AT_ADDRS, 8) + lro_sum(word, 4);
}

static uint64_t lro_addrs(const uint8_t *f) {
  uint64_t addrs;
  memcpy(&addrs, f + AT_ADDRS, 8);
  return addrs;
}

static uint32_t lro_ports(const uint8_t *f) {
  uint32_t ports;
  memcpy(&ports, f + AT_TCP, 4);
  return ports;
}

static uint32_t lro_seq(const uint8_t *f) {
  return (uint32_t)get16(f + AT_SEQ) << 16 | get16(f + AT_SEQ + 2);
}

/* Bytes of a segment's headers. */
static size_t lro_hdr(const uint8_t *f) {
  return AT_TCP + (size_t)(f[AT_HDR_LEN] >> 4) * 4;
}

/* A segment is whole, carries data, nothing but ACK and PSH, and its checksums are right. */
static enum lro_kind lro_classify(const uint8_t *f, size_t len) {
  if (len < AT_TCP || get16(f + AT_TYPE) != 0x0800 || f[AT_IP] >> 4 != 4 || f[AT_PROTOCOL] != 6) return LRO_OTHER;
  if (f[AT_IP] != 0x45 || (get16(f + AT_FRAGMENT) & 0x3fff) != 0 || len < LRO_HDR) return LRO_ENDS_ADDRS;
  if ((f[AT_FLAGS] & ~LRO_FLAG_PSH) != LRO_FLAG_ACK || (f[AT_HDR_LEN] & 0x0f) != 0) return LRO_ENDS_FLOW;
  if (get16(f + AT_IP_LEN) != len - AT_IP || lro_hdr(f) < LRO_HDR || lro_hdr(f) >= len) return LRO_ENDS_FLOW;
  if (lro_fold(lro_sum(f + AT_IP, 20)) != 0xffff) return LRO_ENDS_FLOW;
  return lro_fold(lro_pseudo(f, len - AT_TCP) + lro_sum(f + AT_TCP, len - AT_TCP)) == 0xffff ? LRO_SEGMENT : LRO_ENDS_FLOW;
}

/* Does this segment of the flow go into its frame? */
static bool lro_follows(const struct lro_flow *flow, const uint8_t *f, size_t len) {
  const uint8_t *head = flow->f;
  const size_t hdr = flow->hdr;
  return lro_seq(f) == flow->next && lro_hdr(f) == hdr && len - hdr <= flow->size && flow->len - AT_IP + len - hdr <= LRO_IP_MAX &&
         memcmp(head, f, AT_IP_LEN) == 0 && memcmp(head + AT_FRAGMENT, f + AT_FRAGMENT, 2) == 0 && head[AT_TTL] == f[AT_TTL] &&
         memcmp(head + AT_ACK, f + AT_ACK, 4) == 0 && memcmp(head + AT_WINDOW, f + AT_WINDOW, 2) == 0 &&
         memcmp(head + LRO_HDR, f + LRO_HDR, hdr - LRO_HDR) == 0;
}

/* Is the frame's flow open? It comes to the front, where the next segment is looked for first. */
static bool lro_find(struct lro *l, const uint8_t *f) {
  const uint64_t addrs = lro_addrs(f);
  const uint32_t ports = lro_ports(f);
  for (int i = 0; i < l->n; i++) {
    if (l->flow[i].addrs != addrs || l->flow[i].ports != ports) continue;
    if (i > 0) {
      const struct lro_flow found = l->flow[i];
      memmove(&l->flow[1], &l->flow[0], (size_t)i * sizeof found);
      l->flow[0] = found;
    }
    return true;
  }
  return false;
}

/* Ends a frame: its headers get what became of it. As from a device with offload, the checksum's field holds the pseudo-header's sum. */
static void lro_finish(struct lro *l, const struct lro_flow *flow) {
  uint8_t *f = flow->f;
  const size_t len = flow->len;
  const unsigned old = get16(f + AT_IP_LEN), ip_len = (unsigned)(len - AT_IP);
  if (flow->segments == 1) return;
  put16(f + AT_IP_LEN, ip_len);
  /* RFC 1624: HC' = ~(~HC + ~m + m') */
  put16(f + AT_IP_SUM, ~add16(add16(~get16(f + AT_IP_SUM) & 0xffff, ~old & 0xffff), ip_len) & 0xffff);
  const uint16_t sum = (uint16_t)lro_fold(lro_pseudo(f, len - AT_TCP));
  memcpy(f + AT_TCP_SUM, &sum, 2);
  flow->entry[RX_LEN] = (int32_t)len;
  flow->entry[RX_GSO_TYPE] = VIRTIO_NET_HDR_GSO_TCPV4;
  flow->entry[RX_GSO_SIZE] = (int32_t)flow->size;
  l->frames++;
}

static void lro_end(struct lro *l, int i) {
  lro_finish(l, &l->flow[i]);
  memmove(&l->flow[i], &l->flow[i + 1], (size_t)(--l->n - i) * sizeof l->flow[0]);
}

static void lro_end_all(struct lro *l) {
  for (int i = 0; i < l->n; i++) lro_finish(l, &l->flow[i]);
  l->n = 0;
}

/* Ends every flow between the two addresses, for a frame whose ports cannot be told. */
static void lro_end_addrs(struct lro *l, const uint8_t *f) {
  const uint64_t addrs = lro_addrs(f);
  for (int i = l->n - 1; i >= 0; i--)
    if (l->flow[i].addrs == addrs) lro_end(l, i);
}

/* The segment begins a frame, unless its PSH says that nothing follows soon. */
static void lro_begin(struct lro *l, uint8_t *f, size_t len, int32_t *entry) {
  struct lro_flow *flow = &l->flow[0];
  if ((f[AT_FLAGS] & LRO_FLAG_PSH) != 0) return;
  if (l->n == LRO_FLOWS) lro_end(l, LRO_FLOWS - 1);
  memmove(&l->flow[1], flow, (size_t)l->n++ * sizeof *flow);
  flow->addrs = lro_addrs(f);
  flow->ports = lro_ports(f);
  flow->hdr = lro_hdr(f);
  flow->size = len - flow->hdr;
  flow->next = lro_seq(f) + (uint32_t)flow->size;
  flow->entry = entry;
  flow->f = f;
  flow->len = len;
  flow->segments = 1;
}

/* Where a frame at `pos`, with room in front, is over. */
static size_t frame_end(size_t pos, size_t len) {
  return (pos + VNET_HDR + len + FRAME_STEP - 1) & ~(size_t)(FRAME_STEP - 1);
}

/*
 * Gives a frame of one segment the room to grow, when the second one, of `len` bytes, lies at `*pos`: where it is if nothing is between
 * them, otherwise behind both. Not before, so that a lone segment takes no more of the buffer than it is long.
 */
static bool lro_reserve(struct lro_flow *flow, const struct array *rx, size_t *pos, size_t len) {
  size_t at = (size_t)(flow->f - rx->data) - VNET_HDR;
  const bool stays = frame_end(at, flow->len) == *pos;
  if (!stays) at = frame_end(*pos, len);
  if (at + LRO_ROOM > rx->len) return false;
  if (!stays) {
    memcpy(rx->data + at + VNET_HDR, flow->f, flow->len);
    flow->f = rx->data + at + VNET_HDR;
    flow->entry[RX_OFF] = (int32_t)(at + VNET_HDR);
  }
  *pos = at + LRO_ROOM;
  return true;
}

/* Appends a segment of `len` bytes to the frame of the first flow, and ends that with a short one or PSH: what it did not use is free. */
static void lro_append(struct lro *l, const struct array *rx, size_t *pos, const uint8_t *f, size_t len) {
  struct lro_flow *flow = &l->flow[0];
  const size_t more = len - flow->hdr, at = (size_t)(flow->f - rx->data) - VNET_HDR;
  const uint8_t flags = f[AT_FLAGS];
  /* The frame may come to lie over the segment's own headers. */
  memmove(flow->f + flow->len, f + flow->hdr, more);
  flow->f[AT_FLAGS] |= flags;
  flow->len += more;
  flow->next += (uint32_t)more;
  flow->segments++;
  l->merged++;
  if (more == flow->size && (flags & LRO_FLAG_PSH) == 0) return;
  if (*pos == at + LRO_ROOM) *pos = frame_end(at, flow->len);
  lro_end(l, 0);
}

/*
 * Takes the frame at `*pos`, whose entry is filled. True: it went into another one, and `*pos` is behind what that needs. False: it stands
 * alone where it is, marked if its checksum was found right.
 */
static bool lro_take(struct lro *l, const struct array *rx, size_t *pos, int32_t *entry) {
  uint8_t *f = rx->data + *pos + VNET_HDR;
  const size_t len = (size_t)entry[RX_LEN];
  enum lro_kind kind = lro_classify(f, len);
  if (kind == LRO_OTHER) return false;
  if (kind == LRO_ENDS_ADDRS) {
    lro_end_addrs(l, f);
    return false;
  }
  /* The device says something of it that a merged frame could not. */
  if (entry[RX_FLAGS] != 0 || entry[RX_GSO_TYPE] != 0) kind = LRO_ENDS_FLOW;
  if (lro_find(l, f)) {
    struct lro_flow *flow = &l->flow[0];
    if (kind == LRO_SEGMENT && lro_follows(flow, f, len) && (flow->segments > 1 || lro_reserve(flow, rx, pos, len))) {
      lro_append(l, rx, pos, f, len);
      return true;
    }
    lro_end(l, 0);
  }
  if (kind == LRO_SEGMENT) {
    entry[RX_FLAGS] = VIRTIO_NET_HDR_F_DATA_VALID;
    lro_begin(l, f, len, entry);
  }
  return false;
}

#endif
