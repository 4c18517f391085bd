/*
 * uso.h - adjacent UDP datagrams of one flow leave as one frame, which the kernel cuts again (UDP segmentation offload). Part of tap.c,
 * which is all that includes it.
 *
 * Interfaces: VIRTIO_NET_HDR_GSO_UDP_L4 (virtio 1.3, 5.1.6.2), RFC 768, RFC 791, RFC 8200.
 *
 * What the receiver sees is what would have been written one by one: same headers, same lengths, same order. So only datagrams that
 * the kernel's cutting gives back exactly are merged: equal headers, equal lengths but for a shorter last one, and IPv4
 * identifications that count up by one, which is what the cutting does (or DF, where they mean nothing: RFC 6864).
 */
#ifndef NETMOD_USO_H
#define NETMOD_USO_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

enum {
  USO_MAX = 64, /* the kernel's limit (UDP_MAX_SEGMENTS) */
  USO_IP_MAX = 65535,
  UDP_HDR = 8,
  L4_OF_IPV4 = 14 + 20,
  L4_OF_IPV6 = 14 + 40,
};

static unsigned get16(const uint8_t *p) {
  return (unsigned)p[0] << 8 | p[1];
}

static void put16(uint8_t *p, unsigned v) {
  p[0] = (uint8_t)(v >> 8);
  p[1] = (uint8_t)v;
}

/* Sum of two 16-bit numbers in one's complement. */
static unsigned add16(unsigned a, unsigned b) {
  unsigned sum = a + b;
  return (sum & 0xffff) + (sum >> 16);
}

/* Offset of the UDP header if the frame is a whole datagram with payload whose checksum the kernel completes; 0 otherwise. */
static size_t uso_l4(const uint8_t *f, size_t len, unsigned csum_start, unsigned csum_offset) {
  size_t l4;
  if (csum_offset != 6 || len <= L4_OF_IPV4 + UDP_HDR) return 0;
  if (get16(f + 12) == 0x0800) {
    l4 = L4_OF_IPV4;
    if (f[14] != 0x45 || f[23] != 17 || (get16(f + 20) & 0x3fff) != 0 || get16(f + 16) != len - 14) return 0;
  } else if (get16(f + 12) == 0x86dd) {
    l4 = L4_OF_IPV6;
    if (len <= L4_OF_IPV6 + UDP_HDR || f[14] >> 4 != 6 || f[20] != 17 || get16(f + 18) != len - l4) return 0;
  } else {
    return 0;
  }
  return csum_start == l4 && get16(f + l4 + 4) == len - l4 ? l4 : 0;
}

/* Are `f` and the datagram `nth` places behind it of one flow, and alike but for what cutting sets? */
static bool uso_same_flow(const uint8_t *f, const uint8_t *next, size_t l4, unsigned nth) {
  if (memcmp(f, next, 16) != 0 || memcmp(f + l4, next + l4, 4) != 0) return false;
  if (l4 == L4_OF_IPV6) return memcmp(f + 16, next + 16, 2) == 0 && memcmp(f + 20, next + 20, 34) == 0;
  if (memcmp(f + 20, next + 20, 4) != 0 || memcmp(f + 26, next + 26, 8) != 0) return false;
  return (f[20] & 0x40) != 0 || get16(next + 18) == ((get16(f + 18) + nth) & 0xffff);
}

/* Makes the first datagram's header that of a frame with `more` further bytes of payload. Its sums stay right by difference. */
static void uso_grow(uint8_t *f, size_t l4, size_t more) {
  const unsigned old_udp = get16(f + l4 + 4), new_udp = old_udp + (unsigned)more;
  if (l4 == L4_OF_IPV4) {
    const unsigned old_ip = get16(f + 16), new_ip = old_ip + (unsigned)more;
    put16(f + 16, new_ip);
    /* RFC 1624: HC' = ~(~HC + ~m + m') */
    put16(f + 24, ~add16(add16(~get16(f + 24) & 0xffff, ~old_ip & 0xffff), new_ip) & 0xffff);
  } else {
    put16(f + 18, new_udp);
  }
  put16(f + l4 + 4, new_udp);
  /* The field holds the pseudo-header's sum, not its complement. */
  put16(f + l4 + 6, add16(add16(get16(f + l4 + 6), ~old_udp & 0xffff), new_udp));
}

#endif
