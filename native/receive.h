/*
 * receive.h - reads frames from the device into the receive buffer, and enters them in the receive table: each by itself, or segments of a
 * connection merged (lro.h). Part of tap.c, which is all that includes it, behind what a device is.
 *
 * Interfaces: read(2) on a TAP device, struct virtio_net_hdr (virtio 1.2, 5.1.6). The system call is made directly: in a process of several
 * threads libc's read and write are cancellation points, which costs two atomic operations a frame.
 */
#ifndef NETMOD_RECEIVE_H
#define NETMOD_RECEIVE_H

static void count_n(struct tap *t, int counter, int n) {
  uint32_t *stats = (uint32_t *)(void *)t->stats.data;
  stats[counter] += (uint32_t)n;
  stats[ST_EVENTS]++;
}

static void count(struct tap *t, int counter) {
  count_n(t, counter, 1);
}

static bool is_gone(int err) {
  return err == EBADFD || err == ENODEV || err == EBADF || err == ENXIO;
}

#include "lro.h"

/* Reads one frame to `at`, in front of it its virtio header: its length with that, 0 for one too short, or -1. `*gone` is an errno, or 0. */
static ssize_t read_frame(struct tap *t, uint8_t *at, size_t hdr, int *gone) {
  ssize_t got;
  do {
    got = syscall(SYS_read, t->fd, at, FRAME_MAX);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    if (is_gone(errno)) *gone = errno;
    else if (errno != EAGAIN) count(t, ST_RX_ERROR);
    return -1;
  }
  if ((size_t)got >= hdr + ETHER_HDR) return got;
  count(t, ST_RX_RUNT);
  return 0;
}

/* Reads until the device is empty, the table full, or the buffer too full for the longest frame. `*gone` is an errno, or 0. */
static int read_batch(struct tap *t, int *gone) {
  int32_t *entry = (int32_t *)(void *)t->rx_table.data;
  const size_t hdr = t->vnet ? VNET_HDR : 0;
  struct lro lro;
  size_t pos = 0;
  int n = 0, reads = 0;
  /* Whatever is there besides is reported by the next poll. */
  const int limit = t->singles > SINGLES && t->singles % SINGLES != 0 ? 1 : BATCH;
  const int most = limit == 1 ? 1 : t->lro ? LRO_READS : BATCH;
  bool empty = false;
  lro.n = lro.merged = lro.frames = 0;
  while (n < limit && reads < most && pos + VNET_HDR + FRAME_MAX <= t->rx.len) {
    uint8_t *at = t->rx.data + pos + VNET_HDR - hdr;
    const ssize_t got = read_frame(t, at, hdr, gone);
    if (got < 0) {
      empty = true;
      break;
    }
    if (got == 0) continue;
    reads++;
    entry[RX_OFF] = (int32_t)(pos + VNET_HDR);
    entry[RX_LEN] = (int32_t)((size_t)got - hdr);
    entry[RX_FLAGS] = entry[RX_GSO_TYPE] = entry[RX_GSO_SIZE] = 0;
    if (t->vnet) {
      struct virtio_net_hdr h;
      memcpy(&h, at, VNET_HDR);
      entry[RX_FLAGS] = h.flags;
      entry[RX_GSO_TYPE] = h.gso_type;
      entry[RX_GSO_SIZE] = h.gso_size;
    }
    if (t->lro && lro_take(&lro, &t->rx, &pos, entry)) continue;
    pos = frame_end(pos, (size_t)entry[RX_LEN]);
    entry += RX_STRIDE;
    n++;
  }
  if (t->lro) lro_end_all(&lro);
  if (lro.merged > 0) {
    count_n(t, ST_LRO_MERGED, lro.merged);
    count_n(t, ST_LRO_FRAMES, lro.frames);
  }
  ((int32_t *)(void *)t->stats.data)[ST_RX_FULL] = !empty && limit > 1;
  if (n > 0) t->singles = reads == 1 && pos <= SINGLE_MAX ? t->singles + 1 : 0;
  return n;
}

#endif
