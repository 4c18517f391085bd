/*
 * gso.h - transmit offload in software, for a device that has none: checksums are completed, and a super-frame of TCP is cut into the segments
 * that it stands for, on the way to the device. So every frame on the device is one that needs nothing more, and the stack does for many of
 * them what it would have to do for each. Part of tap.c, which is all that includes it, from transmit.h.
 *
 * Interfaces: VIRTIO_NET_HDR_F_NEEDS_CSUM and VIRTIO_NET_HDR_GSO_TCPV4 (virtio 1.3, 5.1.6.2), whose meaning the table's entries have; RFC 791,
 * RFC 9293, RFC 1071, RFC 3168 6.1.2. The segments are those of Linux's tcp_gso_segment: sequence numbers and identifications that count up, FIN
 * and PSH on the last, CWR on the first, all other fields alike.
 */
#ifndef NETMOD_GSO_H
#define NETMOD_GSO_H

#include "lro.h"

enum {
  GSO_HDR_MAX = 14 + 60 + 60,
  GSO_FLAG_FIN = 0x01,
  GSO_FLAG_CWR = 0x80,
  GSO_TYPE = 0x7f, /* without the bit that says ECN */
  IP_ID = 18,
  TCP_LEAST = 20,
};

/* The sum of bytes that lie in several pieces, each of which may begin at an odd place. */
struct gso_sum {
  uint64_t sum;
  bool odd;
};

static void gso_add(struct gso_sum *s, const void *p, size_t len) {
  const unsigned piece = lro_fold(lro_sum(p, len));
  s->sum += s->odd ? (piece & 0xff) << 8 | piece >> 8 : piece;
  s->odd ^= len & 1;
}

/* Writes the checksum field, as it lies in memory; the number that it is. */
static unsigned gso_put_sum(uint8_t *at, uint64_t sum) {
  const uint16_t field = (uint16_t)~lro_fold(sum);
  memcpy(at, &field, 2);
  return field;
}

/* All of a frame behind its first `skip` bytes: the rest of its slot, and its slices. */
static bool gso_gather(struct tap *t, struct buffers *buffers, const int32_t *e, size_t skip, struct payload *p) {
  p->n = 0;
  if ((size_t)e[TX_LEN] > skip) {
    p->iov[0].iov_base = t->tx.data + e[TX_OFF] + skip;
    p->iov[p->n++].iov_len = (size_t)e[TX_LEN] - skip;
  }
  return add_frags(buffers, e, p);
}

/* Completes the checksum that the entry tells of, whose field holds the pseudo-header's sum: 0, or EINVAL if it does not lie in the slot. */
static int gso_finish(struct tap *t, struct buffers *buffers, const int32_t *e) {
  struct gso_sum s = {0, false};
  struct payload p;
  if (e[TX_CSUM_START] < ETHER_HDR || e[TX_CSUM_OFFSET] < 0 || e[TX_CSUM_OFFSET] > GSO_HDR_MAX ||
      e[TX_CSUM_START] > e[TX_LEN] - e[TX_CSUM_OFFSET] - 2 || !gso_gather(t, buffers, e, (size_t)e[TX_CSUM_START], &p))
    return EINVAL;
  for (int i = 0; i < p.n; i++) gso_add(&s, p.iov[i].iov_base, p.iov[i].iov_len);
  uint8_t *field = t->tx.data + e[TX_OFF] + e[TX_CSUM_START] + e[TX_CSUM_OFFSET];
  /* Zero would mean none in UDP; the other zero is as good (RFC 768, RFC 1071). */
  if (gso_put_sum(field, s.sum) == 0) put16(field, 0xffff);
  return 0;
}

/* Takes the next `len` bytes, or what is left, out of `from`, and adds them up. */
static void gso_take(struct payload *from, int *piece, size_t len, struct payload *to, struct gso_sum *s) {
  while (len > 0 && *piece < from->n) {
    struct iovec *v = &from->iov[*piece];
    const size_t some = v->iov_len < len ? v->iov_len : len;
    gso_add(s, v->iov_base, some);
    to->iov[to->n].iov_base = v->iov_base;
    to->iov[to->n++].iov_len = some;
    v->iov_base = (uint8_t *)v->iov_base + some;
    v->iov_len -= some;
    if (v->iov_len == 0) ++*piece;
    len -= some;
  }
}

/* The headers of a super-frame of TCP over IPv4, or false if they are not whole, or not that. */
static bool gso_headers_valid(const uint8_t *f, const int32_t *e) {
  const int32_t tcp = e[TX_CSUM_START], hdr = e[TX_HDR_LEN];
  return (e[TX_GSO_TYPE] & GSO_TYPE) == VIRTIO_NET_HDR_GSO_TCPV4 && e[TX_GSO_SIZE] > 0 && hdr <= GSO_HDR_MAX && hdr <= e[TX_LEN] &&
         tcp >= AT_TCP && hdr >= tcp + TCP_LEAST && get16(f + AT_TYPE) == 0x0800 && f[AT_IP] >> 4 == 4 && f[AT_PROTOCOL] == 6 &&
         AT_IP + (f[AT_IP] & 15) * 4 == tcp && tcp + (f[tcp + 12] >> 4) * 4 == hdr;
}

/* Cuts a super-frame and writes its segments: 0, or an errno, that of the first that did not leave. */
static int gso_cut(struct tap *t, struct buffers *buffers, const int32_t *e) {
  const uint8_t *f = t->tx.data + e[TX_OFF];
  const size_t tcp = (size_t)e[TX_CSUM_START], hdr = (size_t)e[TX_HDR_LEN];
  uint8_t head[VNET_HDR + GSO_HDR_MAX], *h = head + VNET_HDR;
  struct payload from, to;
  size_t left = 0;
  int piece = 0, segments = 0, err = 0;
  if (!gso_headers_valid(f, e) || !gso_gather(t, buffers, e, hdr, &from)) return EINVAL;
  for (int i = 0; i < from.n; i++) left += from.iov[i].iov_len;
  const uint8_t flags = f[tcp + 13];
  uint32_t seq = (uint32_t)get16(f + tcp + 4) << 16 | get16(f + tcp + 6);
  unsigned id = get16(f + IP_ID);
  memset(head, 0, VNET_HDR);
  memcpy(h, f, hdr);
  do {
    const size_t size = left < (size_t)e[TX_GSO_SIZE] ? left : (size_t)e[TX_GSO_SIZE];
    struct gso_sum s = {0, false};
    ssize_t done;
    left -= size;
    h[tcp + 13] = (uint8_t)(flags & ~((left > 0 ? GSO_FLAG_FIN | LRO_FLAG_PSH : 0) | (segments == 0 ? 0 : GSO_FLAG_CWR)));
    put16(h + AT_IP_LEN, (unsigned)(hdr - AT_IP + size));
    put16(h + IP_ID, id++ & 0xffff);
    put16(h + AT_IP_SUM, 0);
    gso_put_sum(h + AT_IP_SUM, lro_sum(h + AT_IP, tcp - AT_IP));
    put16(h + tcp + 4, seq >> 16);
    put16(h + tcp + 6, seq & 0xffff);
    put16(h + tcp + 16, 0);
    to.n = 1;
    gso_add(&s, h + tcp, hdr - tcp);
    gso_take(&from, &piece, size, &to, &s);
    gso_put_sum(h + tcp + 16, s.sum + lro_pseudo(h, hdr - tcp + size));
    to.iov[0].iov_base = t->vnet ? head : h;
    to.iov[0].iov_len = (t->vnet ? VNET_HDR : 0) + hdr;
    seq += (uint32_t)size;
    do {
      done = syscall(SYS_writev, t->fd, to.iov, to.n);
    } while (done < 0 && errno == EINTR);
    if (done < 0) err = errno;
    else segments++;
  } while (left > 0 && err == 0);
  count_n(t, ST_TX_CUT, segments);
  return err;
}

/* Writes a frame that the device cannot finish: 0, or an errno. */
static int gso_write(struct tap *t, struct buffers *buffers, const int32_t *e) {
  int32_t plain[TX_STRIDE];
  if (e[TX_GSO_TYPE] != 0) return gso_cut(t, buffers, e);
  const int err = gso_finish(t, buffers, e);
  if (err != 0) return err;
  memcpy(plain, e, sizeof plain);
  for (int k = TX_FLAGS; k < TX_NFRAGS; k++) plain[k] = 0;
  return write_frame(t, buffers, plain);
}

#endif
