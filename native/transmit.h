/*
 * transmit.h - writes frames of the transmit table to the device: one by one, or datagrams of a flow merged into one that the kernel cuts
 * (uso.h), or, where the device has no offload, finished and cut here (gso.h). Part of tap.c, which is all that includes it, behind receive.h.
 *
 * Interfaces: write(2), writev(2), struct virtio_net_hdr (virtio 1.2, 5.1.6). The system calls are made directly, as in receive.h.
 */
#ifndef NETMOD_TRANSMIT_H
#define NETMOD_TRANSMIT_H

struct payload {
  struct iovec iov[1 + USO_MAX];
  int n;
};
_Static_assert(2 + MAX_FRAGS <= 1 + USO_MAX, "a frame with all its slices has to fit");

/* Buffers of JavaScript's own that slices lie in, and the one of them that was looked at last: no JavaScript runs while a table is written. */
struct buffers {
  napi_env env;
  napi_value array;
  int32_t index; /* -1: none yet */
  uint8_t *data;
  size_t len;
};

static bool find_buffer(struct buffers *b, int32_t index) {
  napi_value value;
  napi_typedarray_type type;
  bool is = false;
  void *data = NULL;
  if (index == b->index) return true;
  b->index = -1;
  if (index < 0 || b->array == NULL || napi_get_element(b->env, b->array, (uint32_t)index, &value) != napi_ok ||
      napi_is_typedarray(b->env, value, &is) != napi_ok || !is ||
      napi_get_typedarray_info(b->env, value, &type, &b->len, &data, NULL, NULL) != napi_ok || type != napi_uint8_array)
    return false;
  b->data = data;
  b->index = index;
  return true;
}

/* Appends the slices of a frame. */
static bool add_frags(struct buffers *b, const int32_t *entry, struct payload *p) {
  const int32_t nfrags = entry[TX_NFRAGS];
  const int32_t *frag = entry + TX_FRAGS;
  for (int32_t i = 0; i < nfrags; i++, frag += 3) {
    if (!find_buffer(b, frag[0]) || frag[1] < 0 || frag[2] < 0 || (size_t)frag[1] > b->len || (size_t)frag[2] > b->len - (size_t)frag[1])
      return false;
    if (frag[2] == 0) continue;
    p->iov[p->n].iov_base = b->data + frag[1];
    p->iov[p->n++].iov_len = (size_t)frag[2];
  }
  return true;
}

/* The contiguous part lies in one slot of the slab, whole. */
static bool entry_valid(const struct tap *t, const int32_t *e) {
  if (e[TX_OFF] < 0 || e[TX_LEN] < ETHER_HDR || e[TX_LEN] > t->tx_slot || e[TX_NFRAGS] < 0 || e[TX_NFRAGS] > MAX_FRAGS) return false;
  return (size_t)e[TX_OFF] + (size_t)e[TX_LEN] <= t->tx.len && e[TX_OFF] % t->tx_slot + e[TX_LEN] <= t->tx_slot;
}

/* Writes one frame: 0, or an errno. The virtio header goes in front of it, where the slot has room, so that one piece is written. */
static int write_frame(struct tap *t, struct buffers *buffers, const int32_t *e) {
  struct virtio_net_hdr h;
  struct payload p;
  uint8_t *at = t->tx.data + e[TX_OFF];
  size_t len = (size_t)e[TX_LEN];
  ssize_t done;
  p.n = 0;
  if (t->vnet) {
    h.flags = (uint8_t)e[TX_FLAGS];
    h.gso_type = (uint8_t)e[TX_GSO_TYPE];
    h.hdr_len = (uint16_t)e[TX_HDR_LEN];
    h.gso_size = (uint16_t)e[TX_GSO_SIZE];
    h.csum_start = (uint16_t)e[TX_CSUM_START];
    h.csum_offset = (uint16_t)e[TX_CSUM_OFFSET];
    if (e[TX_OFF] % t->tx_slot >= VNET_HDR) {
      at -= VNET_HDR;
      len += VNET_HDR;
      memcpy(at, &h, VNET_HDR);
    } else {
      p.iov[p.n].iov_base = &h;
      p.iov[p.n++].iov_len = VNET_HDR;
    }
  }
  p.iov[p.n].iov_base = at;
  p.iov[p.n++].iov_len = len;
  if (e[TX_NFRAGS] > 0 && !add_frags(buffers, e, &p)) return EINVAL;
  do {
    done = p.n == 1 ? syscall(SYS_write, t->fd, at, len) : syscall(SYS_writev, t->fd, p.iov, p.n);
  } while (done < 0 && errno == EINTR);
  return done < 0 ? errno : 0;
}

#include "gso.h"

/* Is this entry a datagram that can be merged? Where its UDP header is, or 0. */
static size_t mergeable(const struct tap *t, const int32_t *e) {
  if (e[TX_FLAGS] != VIRTIO_NET_HDR_F_NEEDS_CSUM || e[TX_GSO_TYPE] != 0 || e[TX_NFRAGS] != 0 || !entry_valid(t, e)) return 0;
  return uso_l4(t->tx.data + e[TX_OFF], (size_t)e[TX_LEN], (unsigned)e[TX_CSUM_START], (unsigned)e[TX_CSUM_OFFSET]);
}

/*
 * Writes the datagrams of one flow that begin at `e` as one frame, if there are two at least: how many there were, or 0 and nothing was
 * written. `*err` is an errno, or 0.
 */
static int write_merged(struct tap *t, const int32_t *e, int left, int *err) {
  const size_t l4 = mergeable(t, e);
  uint8_t *first = t->tx.data + e[TX_OFF];
  const size_t data = l4 + UDP_HDR;
  struct virtio_net_hdr h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_UDP_L4};
  struct payload p;
  size_t more = 0;
  ssize_t done;
  int n = 1;
  /* The virtio header goes in front of the frame, as in write_frame. */
  if (l4 == 0 || e[TX_OFF] % t->tx_slot < VNET_HDR) return 0;
  for (const int32_t *next = e + TX_STRIDE; n < left && n < USO_MAX; n++, next += TX_STRIDE) {
    const size_t len = (size_t)next[TX_LEN];
    if (next[TX_LEN] > e[TX_LEN] || mergeable(t, next) != l4) break;
    const uint8_t *f = t->tx.data + next[TX_OFF];
    if (!uso_same_flow(first, f, l4, (unsigned)n) || (size_t)e[TX_LEN] - 14 + more + len - data > USO_IP_MAX) break;
    p.iov[n].iov_base = (uint8_t *)f + data;
    p.iov[n].iov_len = len - data;
    more += len - data;
    /* Only the last may be shorter. */
    if (next[TX_LEN] < e[TX_LEN]) {
      n++;
      break;
    }
  }
  if (n == 1) return 0;
  uso_grow(first, l4, more);
  h.hdr_len = (uint16_t)data;
  h.gso_size = (uint16_t)((size_t)e[TX_LEN] - data);
  h.csum_start = (uint16_t)l4;
  h.csum_offset = 6;
  memcpy(first - VNET_HDR, &h, VNET_HDR);
  p.iov[0].iov_base = first - VNET_HDR;
  p.iov[0].iov_len = VNET_HDR + (size_t)e[TX_LEN];
  do {
    done = syscall(SYS_writev, t->fd, p.iov, n);
  } while (done < 0 && errno == EINTR);
  *err = done < 0 ? errno : 0;
  if (done >= 0) count_n(t, ST_TX_MERGED, n);
  return n;
}

/* Writes the first `n` frames of the table, `array` (or NULL) being of the buffers where their slices lie. What does not leave is counted. */
static void write_table(struct tap *t, int32_t n, napi_value array) {
  const int32_t *entry = (const int32_t *)(const void *)t->tx_table.data;
  struct buffers buffers = {.env = t->env, .array = array, .index = -1};
  t->writes++;
  if ((size_t)n > t->tx_table.len / TX_STRIDE) {
    count_n(t, ST_TX_INVALID, n);
    return;
  }
  for (int k = 0, took; k < n; k += took, entry += took * TX_STRIDE) {
    int err = EINVAL;
    took = t->uso && k + 1 < n ? write_merged(t, entry, n - k, &err) : 0;
    if (took == 0) {
      took = 1;
      if (entry_valid(t, entry)) err = t->finishes && entry[TX_FLAGS] != 0 ? gso_write(t, &buffers, entry) : write_frame(t, &buffers, entry);
    }
    if (err == 0) continue;
    if (err == EAGAIN || err == ENOBUFS) {
      /* The device takes no more for now. */
      count_n(t, ST_TX_BLOCKED, n - k);
      return;
    }
    /* Down is EIO; a device that is gone is reported by its poll event, in on_poll. */
    count_n(t, err == EIO || is_gone(err) ? ST_TX_REFUSED : ST_TX_INVALID, took);
  }
}

#endif
