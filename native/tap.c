/*
 * tap.c - opens a Linux TAP device and moves Ethernet frames between it and JavaScript in batches.
 *
 * Interfaces: Node-API version 8, libuv poll handles, struct virtio_net_hdr (virtio 1.2, 5.1.6). The device itself: device.h.
 *
 * A device is known to JavaScript by a small number, as a file is by its descriptor. All state hangs on the instance of the addon
 * (one per environment: the main thread, each worker) and goes with it. Every number that comes from JavaScript is checked before it
 * is used as an offset. What it shares with JavaScript for good is memory of its own, which cannot be transferred and so never moves.
 */
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include <node_api.h>

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "args.h"
#include "device.h"
#include "uso.h"

/* The few functions of libuv that are used, as the node binary exports them. Handles are opaque: libuv tells their size. */
struct uv_loop_s;
struct uv_handle_s;
enum { TYPE_POLL = 8, UV_READABLE = 1, UV_DISCONNECT = 4 };
extern const char *uv_handle_type_name(int type);
extern size_t uv_handle_size(int type);
extern void *uv_handle_get_data(const struct uv_handle_s *handle);
extern void uv_handle_set_data(struct uv_handle_s *handle, void *data);
extern int uv_poll_init(struct uv_loop_s *loop, struct uv_handle_s *handle, int fd);
extern int uv_poll_start(struct uv_handle_s *handle, int events, void (*cb)(struct uv_handle_s *, int, int));
extern int uv_poll_stop(struct uv_handle_s *handle);
extern void uv_close(struct uv_handle_s *handle, void (*cb)(struct uv_handle_s *));

enum {
  MAX_TAPS = 64,
  BATCH = 64, /* frames handed over by one callback */
  ETHER_HDR = 14,
  FRAME_STEP = 64,        /* frames lie this far apart, or a multiple */
  FRAME_MAX = 65536 + 64, /* largest frame that the kernel hands over, with its virtio header */
  MAX_FRAGS = 4,
  SINGLE_MAX = 2048, /* longest frame of a conversation, a question and an answer at a time */
  SINGLES = 16,      /* so many lone frames in a row are one, and of the reads that would find nothing only each so many-th is made */
  TURNS = 16,        /* batches that one event hands over at most */
  MEMORY_MAX = 64 << 20,
  SPIN_TOTAL_US = 1000, /* busy polling lets the event loop go on after this, however busy the device is */
};

/* A frame in the receive table. */
enum { RX_OFF, RX_LEN, RX_FLAGS, RX_GSO_TYPE, RX_GSO_SIZE, RX_STRIDE };
/* A frame in the transmit table; behind it MAX_FRAGS times a slice of payload: index of its buffer, offset, length. */
enum { TX_OFF, TX_LEN, TX_FLAGS, TX_GSO_TYPE, TX_GSO_SIZE, TX_HDR_LEN, TX_CSUM_START, TX_CSUM_OFFSET, TX_NFRAGS, TX_FRAGS };
enum { TX_STRIDE = TX_FRAGS + 3 * MAX_FRAGS };
/*
 * Counters of frames that the driver reads: wrap as 32-bit integers. RX_FULL is none: 1 if the last batch ended before the device was empty.
 * EVENTS changes with each of the others.
 */
enum {
  ST_RX_RUNT,
  ST_RX_ERROR,
  ST_TX_REFUSED,
  ST_TX_INVALID,
  ST_TX_BLOCKED,
  ST_TX_MERGED,
  ST_RX_FULL,
  ST_LRO_MERGED,
  ST_LRO_FRAMES,
  ST_TX_CUT,
  ST_EVENTS,
  ST_COUNT
};

struct instance {
  struct tap *taps[MAX_TAPS];
  struct memory *memories;
};

struct tap {
  napi_env env;
  struct instance *inst;
  int id;
  int fd;
  bool vnet;
  bool uso; /* the kernel cuts datagrams */
  bool lro; /* segments are merged here */
  bool finishes; /* checksums are completed, and super-frames cut, here: the device was opened without offload */
  bool started, paused, closing, env_gone;
  int64_t spin_us;
  unsigned singles; /* batches in a row that were one short frame */
  unsigned misses;  /* events in a row whose second turn found nothing, or was not made */
  unsigned writes;  /* batches written; wraps */
  struct uv_handle_s *poll;
  napi_async_cleanup_hook_handle hook;
  napi_async_context async;
  napi_ref self, on_batch, on_gone, on_closed;
  struct array rx, rx_table, tx, tx_table, stats;
  int32_t tx_slot;
};

/* ---- arguments ---- */

/* Takes the arguments of a call whose first one is a device's number. */
static struct tap *get_tap(napi_env env, napi_callback_info info, size_t argc, napi_value *argv) {
  struct instance *inst = NULL;
  int32_t id = -1;
  size_t got = argc;
  if (napi_get_cb_info(env, info, &got, argv, NULL, NULL) != napi_ok || napi_get_instance_data(env, (void **)&inst) != napi_ok ||
      inst == NULL || got < argc || napi_get_value_int32(env, argv[0], &id) != napi_ok || id < 0 || id >= MAX_TAPS ||
      inst->taps[id] == NULL) {
    throw_argument(env, "not an open device");
    return NULL;
  }
  return inst->taps[id];
}

/* ---- closing ---- */

static void delete_refs(struct tap *t) {
  napi_env env = t->env;
  napi_ref *refs[] = {&t->on_batch, &t->on_gone, &t->rx.ref, &t->rx_table.ref, &t->tx.ref, &t->tx_table.ref, &t->stats.ref};
  for (size_t i = 0; i < sizeof refs / sizeof refs[0]; i++) drop_ref(env, refs[i]);
}

static void delete_closing_refs(struct tap *t) {
  drop_ref(t->env, &t->on_closed);
  drop_ref(t->env, &t->self);
  if (t->async != NULL) napi_async_destroy(t->env, t->async);
  t->async = NULL;
}

/* JavaScript runs between these two; with the second, what it has queued (process.nextTick, promises). */
struct js {
  napi_handle_scope handles;
  napi_callback_scope callbacks;
  napi_value self;
};

static bool js_enter(struct tap *t, struct js *js) {
  if (napi_open_handle_scope(t->env, &js->handles) != napi_ok) return false;
  if (napi_get_reference_value(t->env, t->self, &js->self) == napi_ok && js->self != NULL &&
      napi_open_callback_scope(t->env, js->self, t->async, &js->callbacks) == napi_ok)
    return true;
  napi_close_handle_scope(t->env, js->handles);
  return false;
}

static void js_leave(napi_env env, struct js *js) {
  napi_close_callback_scope(env, js->callbacks);
  napi_close_handle_scope(env, js->handles);
}

/* Calls JavaScript, with an integer if `argc` is 1: the integer that it answers, or 0. An exception goes where uncaught ones go. */
static int32_t call_within(struct tap *t, const struct js *js, napi_ref fn_ref, size_t argc, int32_t arg) {
  napi_env env = t->env;
  napi_value fn, argv, result, error;
  bool pending = false;
  int32_t answer = 0;
  if (fn_ref == NULL || napi_get_reference_value(env, fn_ref, &fn) != napi_ok || fn == NULL ||
      napi_create_int32(env, arg, &argv) != napi_ok)
    return 0;
  if (napi_call_function(env, js->self, fn, argc, &argv, &result) == napi_ok)
    return napi_get_value_int32(env, result, &answer) == napi_ok ? answer : 0;
  if (napi_is_exception_pending(env, &pending) == napi_ok && pending &&
      napi_get_and_clear_last_exception(env, &error) == napi_ok)
    napi_fatal_exception(env, error);
  return 0;
}

static void call_js(struct tap *t, napi_ref fn_ref, size_t argc, int32_t arg) {
  napi_env env = t->env;
  struct js js;
  if (!js_enter(t, &js)) return;
  call_within(t, &js, fn_ref, argc, arg);
  js_leave(env, &js);
}

static void on_closed(struct uv_handle_s *handle) {
  struct tap *t = uv_handle_get_data(handle);
  if (!t->env_gone) {
    call_js(t, t->on_closed, 0, 0);
    /* The environment may have begun to end inside the call. */
    if (!t->env_gone) delete_closing_refs(t);
  }
  if (t->hook != NULL) napi_remove_async_cleanup_hook(t->hook);
  free(t->poll);
  free(t);
}

/* Frees the device at once: its descriptor is closed on return. The memory follows when libuv lets go of the handle. */
static void tap_close(struct tap *t) {
  if (t->closing) return;
  t->closing = true;
  t->inst->taps[t->id] = NULL;
  delete_refs(t);
  uv_close(t->poll, on_closed);
  close(t->fd);
  t->fd = -1;
}

/* The environment ends (process exit, worker exit). No JavaScript runs any more. */
static void on_env_exit(napi_async_cleanup_hook_handle hook, void *arg) {
  struct tap *t = arg;
  (void)hook;
  tap_close(t);
  t->env_gone = true;
  delete_closing_refs(t);
}

/* ---- opening ---- */

static bool read_request(napi_env env, napi_value options, struct request *r) {
  napi_value value;
  size_t len = 0;
  memset(r, 0, sizeof *r);
  r->fd = -1;
  if (get_named(env, options, "fd", &value) && napi_get_value_int32(env, value, &r->fd) != napi_ok) return false;
  if (!get_named(env, options, "vnetHdr", &value) || napi_get_value_bool(env, value, &r->vnet) != napi_ok) return false;
  if (!get_named(env, options, "offload", &value) || napi_get_value_bool(env, value, &r->offload) != napi_ok) return false;
  if (!get_named(env, options, "name", &value) || napi_get_value_string_utf8(env, value, NULL, 0, &len) != napi_ok) return false;
  return len < IFNAMSIZ && napi_get_value_string_utf8(env, value, r->name, IFNAMSIZ, &len) == napi_ok;
}

static napi_value describe(napi_env env, const struct tap *t, const struct request *r) {
  napi_value object, value;
  napi_create_object(env, &object);
  napi_create_int32(env, t->id, &value);
  napi_set_named_property(env, object, "id", value);
  napi_create_string_utf8(env, r->name, NAPI_AUTO_LENGTH, &value);
  napi_set_named_property(env, object, "name", value);
  napi_get_boolean(env, r->vnet, &value);
  napi_set_named_property(env, object, "vnetHdr", value);
  napi_get_boolean(env, r->existed, &value);
  napi_set_named_property(env, object, "existed", value);
  napi_create_uint32(env, r->features, &value);
  napi_set_named_property(env, object, "features", value);
  return object;
}

/* open({ name, fd, vnetHdr, offload }): { id, name, vnetHdr, existed, features } */
static napi_value js_open(napi_env env, napi_callback_info info) {
  struct instance *inst = NULL;
  struct uv_loop_s *loop = NULL;
  struct request r;
  struct tap *t;
  napi_value options, label;
  const char *call = "open";
  size_t argc = 1;
  int id = 0, err;

  napi_get_cb_info(env, info, &argc, &options, NULL, NULL);
  if (argc < 1 || !read_request(env, options, &r)) return throw_argument(env, "open: { name, fd, vnetHdr, offload } is needed");
  if (napi_get_instance_data(env, (void **)&inst) != napi_ok || inst == NULL) return throw_argument(env, "open: no instance");
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return throw_argument(env, "open: no event loop");
  while (id < MAX_TAPS && inst->taps[id] != NULL) id++;
  if (id == MAX_TAPS) return throw_errno(env, EMFILE, "open");

  int given = r.fd;
  t = calloc(1, sizeof *t);
  if (t != NULL) t->poll = calloc(1, uv_handle_size(TYPE_POLL));
  if (t == NULL || t->poll == NULL) {
    free(t);
    return throw_errno(env, ENOMEM, "open");
  }
  err = tap_open(&r, &call);
  if (err == 0) {
    call = "uv_poll_init";
    err = -uv_poll_init(loop, t->poll, r.fd);
  }
  if (err != 0) {
    if (r.fd >= 0 && given < 0) close(r.fd);
    free(t->poll);
    free(t);
    return throw_errno(env, err, call);
  }
  t->env = env;
  t->inst = inst;
  t->id = id;
  t->fd = r.fd;
  t->vnet = r.vnet;
  t->uso = (r.features & TUN_F_USO4) != 0;
  t->finishes = (r.features & TUN_F_CSUM) == 0;
  inst->taps[id] = t;
  uv_handle_set_data(t->poll, t);
  napi_value self = describe(env, t, &r);
  napi_create_string_utf8(env, "netmod:tap", NAPI_AUTO_LENGTH, &label);
  if (napi_create_reference(env, self, 1, &t->self) != napi_ok || napi_async_init(env, self, label, &t->async) != napi_ok ||
      napi_add_async_cleanup_hook(env, on_env_exit, t, &t->hook) != napi_ok) {
    tap_close(t);
    return throw_errno(env, ENOMEM, "open");
  }
  return self;
}

/* ---- receiving ---- */

static int64_t now_us(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

#include "receive.h"
#include "transmit.h"

/* The device went away, or its buffers did: no more events, and one last callback. */
static void tap_gone(struct tap *t, int err) {
  if (t->closing) return;
  uv_poll_stop(t->poll);
  t->started = false;
  call_js(t, t->on_gone, 1, err);
}

/* Writes what JavaScript left in the transmit table for us, and says so if something came of it that it has to count. */
static void answer(struct tap *t, const struct js *js, int32_t n) {
  if (n <= 0 || t->closing) return;
  const int32_t *events = (const int32_t *)(const void *)t->stats.data + ST_EVENTS;
  const int32_t before = *events;
  write_table(t, n, NULL);
  if (*events != before) call_within(t, js, t->on_batch, 1, 0);
}

/* One batch: 0 if there was nothing, -1 when no more may be read, otherwise the number of frames handed over. */
static int receive(struct tap *t, const struct js *js) {
  int gone = 0, n;
  n = read_batch(t, &gone);
  if (n > 0) answer(t, js, call_within(t, js, t->on_batch, 1, n));
  if (gone != 0) tap_gone(t, gone);
  return t->closing || t->paused || gone != 0 ? -1 : n;
}

/* A batch on its own: what JavaScript has queued runs behind it. */
static int receive_one(struct tap *t) {
  napi_env env = t->env;
  struct js js;
  int n;
  if (!js_enter(t, &js)) return -1;
  n = receive(t, &js);
  js_leave(env, &js);
  return t->closing || t->paused ? -1 : n;
}

/*
 * What came in meanwhile is read at once: another turn of the event loop would find it all the same, later and for a system call more.
 * In a conversation that is so where both ends share a processor, because the other end runs as soon as it has our answer; elsewhere the
 * read finds nothing, and only each so many-th is made.
 */
static bool again(struct tap *t) {
  if (t->singles <= SINGLES || t->misses % SINGLES == 0) return true;
  t->misses++;
  return false;
}

/*
 * The batches of one event; the number of frames in the last, or -1. What JavaScript has queued runs behind each, but in a conversation of lone
 * frames only when nothing more comes: going in and out costs as much as such a frame.
 */
static int converse(struct tap *t) {
  napi_env env = t->env;
  struct js js;
  unsigned writes;
  int turn = 0, n;
  do {
    if (!js_enter(t, &js)) return -1;
    do {
      n = receive(t, &js);
      if (turn++ > 0) t->misses = n > 0 ? 0 : t->misses + 1;
    } while (n == 1 && t->singles > 0 && turn < TURNS && again(t));
    writes = t->writes;
    js_leave(env, &js);
    if (t->closing || t->paused) return -1;
    /* After a full batch there is more; after an empty one perhaps, if something was sent only now. */
  } while (turn < TURNS && ((n > 0 && t->singles == 0 && again(t)) || (n == 0 && t->writes != writes && again(t))));
  return n;
}

static void on_poll(struct uv_handle_s *handle, int status, int events) {
  struct tap *t = uv_handle_get_data(handle);
  int64_t end, limit;
  int n;
  if (status < 0 || (events & UV_DISCONNECT) != 0) {
    tap_gone(t, status < 0 ? -status : ENODEV);
    return;
  }
  n = converse(t);
  if (n < 0 || t->spin_us == 0) return;
  /* Busy polling: the next frame is likely near. Each batch extends the wait, up to a limit that lets timers run. */
  end = now_us() + t->spin_us;
  limit = now_us() + SPIN_TOTAL_US;
  for (int64_t now = 0; now < end && now < limit; now = now_us()) {
    n = receive_one(t);
    if (n < 0) return;
    if (n > 0) end = now_us() + t->spin_us;
  }
}

static int poll_start(struct tap *t) {
  return -uv_poll_start(t->poll, t->paused ? UV_DISCONNECT : UV_READABLE, on_poll);
}

/* ---- memory that is shared ---- */

static void free_memory(napi_env env, void *data, void *hint) {
  struct memory *m = hint;
  (void)env;
  if (m->at != NULL) *m->at = m->next;
  if (m->next != NULL) m->next->at = m->at;
  munmap(data, m->len);
  free(m);
}

/* memory(bytes): an ArrayBuffer of so many zeros, for the arrays that start() takes */
static napi_value js_memory(napi_env env, napi_callback_info info) {
  struct instance *inst = NULL;
  struct memory *m;
  napi_value bytes, result;
  size_t argc = 1;
  int64_t len = 0;
  if (napi_get_cb_info(env, info, &argc, &bytes, NULL, NULL) != napi_ok || argc < 1 ||
      napi_get_instance_data(env, (void **)&inst) != napi_ok || inst == NULL || napi_get_value_int64(env, bytes, &len) != napi_ok ||
      len < 1 || len > MEMORY_MAX)
    return throw_argument(env, "memory: a number of bytes is needed, 1 to 64 MiB");
  m = calloc(1, sizeof *m);
  if (m == NULL) return throw_errno(env, ENOMEM, "memory");
  m->len = (size_t)len;
  m->data = mmap(NULL, m->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (m->data == MAP_FAILED) {
    free(m);
    return throw_errno(env, ENOMEM, "mmap");
  }
  m->next = inst->memories;
  m->at = &inst->memories;
  if (m->next != NULL) m->next->at = &m->next;
  inst->memories = m;
  if (napi_create_external_arraybuffer(env, m->data, m->len, free_memory, m, &result) != napi_ok) {
    free_memory(env, m->data, m);
    return throw_errno(env, ENOMEM, "memory");
  }
  return result;
}

/* start(id, { rx, rxTable, tx, txSlot, txTable, stats, onBatch, onGone }) */
static napi_value js_start(napi_env env, napi_callback_info info) {
  napi_value argv[2], value;
  struct tap *t = get_tap(env, info, 2, argv);
  napi_value o = argv[1];
  int err;
  if (t == NULL) return NULL;
  if (t->rx.ref != NULL) return throw_argument(env, "start: already started");
  if (!get_array(env, t->inst->memories, o, "rx", napi_uint8_array, VNET_HDR + FRAME_MAX, &t->rx) ||
      !get_array(env, t->inst->memories, o, "rxTable", napi_int32_array, BATCH * RX_STRIDE, &t->rx_table) ||
      !get_array(env, t->inst->memories, o, "tx", napi_uint8_array, 1, &t->tx) ||
      !get_array(env, t->inst->memories, o, "txTable", napi_int32_array, TX_STRIDE, &t->tx_table) ||
      !get_array(env, t->inst->memories, o, "stats", napi_int32_array, ST_COUNT, &t->stats) || !get_named(env, o, "txSlot", &value) ||
      napi_get_value_int32(env, value, &t->tx_slot) != napi_ok || t->tx_slot < 1 ||
      !get_function_ref(env, o, "onBatch", &t->on_batch) || !get_function_ref(env, o, "onGone", &t->on_gone)) {
    delete_refs(t);
    return throw_argument(env, "start: { rx, rxTable, tx, txSlot, txTable, stats, onBatch, onGone } is needed");
  }
  err = poll_start(t);
  if (err != 0) {
    delete_refs(t);
    return throw_errno(env, err, "uv_poll_start");
  }
  t->started = true;
  return NULL;
}

/* ---- sending ---- */

/* writeBatch(id, n, buffers): writes the first n frames of the table; what became of them is in `stats`. */
static napi_value js_write_batch(napi_env env, napi_callback_info info) {
  napi_value argv[3];
  struct tap *t = get_tap(env, info, 3, argv);
  int32_t n = 0;
  if (t == NULL) return NULL;
  if (t->tx.ref == NULL) return throw_argument(env, "writeBatch: not started");
  if (napi_get_value_int32(env, argv[1], &n) != napi_ok || n < 0 || (size_t)n > t->tx_table.len / TX_STRIDE)
    return throw_argument(env, "writeBatch: more frames than the table holds");
  write_table(t, n, argv[2]);
  return NULL;
}

/* ---- the rest ---- */

static napi_value set_paused(napi_env env, napi_callback_info info, bool paused) {
  napi_value argv[1];
  struct tap *t = get_tap(env, info, 1, argv);
  if (t == NULL) return NULL;
  t->paused = paused;
  int err = t->started ? poll_start(t) : 0;
  return err != 0 ? throw_errno(env, err, "uv_poll_start") : NULL;
}

/* pause(id): no frames are read; the device's own queue holds them, then drops. That the device goes away is still noticed. */
static napi_value js_pause(napi_env env, napi_callback_info info) {
  return set_paused(env, info, true);
}

static napi_value js_resume(napi_env env, napi_callback_info info) {
  return set_paused(env, info, false);
}

/* setOffload(id, features): TUN_F_* bits that the kernel accepted */
static napi_value js_set_offload(napi_env env, napi_callback_info info) {
  napi_value argv[2], result;
  struct tap *t = get_tap(env, info, 2, argv);
  uint32_t wanted = 0;
  if (t == NULL) return NULL;
  if (napi_get_value_uint32(env, argv[1], &wanted) != napi_ok || (wanted != 0 && !t->vnet))
    return throw_argument(env, "setOffload: TUN_F_* bits are needed, and a device with virtio headers");
  napi_create_uint32(env, set_offload(t->fd, wanted), &result);
  return result;
}

/* setSpin(id, microseconds) */
static napi_value js_set_spin(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  struct tap *t = get_tap(env, info, 2, argv);
  uint32_t us = 0;
  if (t == NULL) return NULL;
  if (napi_get_value_uint32(env, argv[1], &us) != napi_ok || us > SPIN_TOTAL_US)
    return throw_argument(env, "setSpin: 0 to 1000 microseconds");
  t->spin_us = us;
  return NULL;
}

/* setLro(id, on): segments of a connection are merged as they are read */
static napi_value js_set_lro(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  struct tap *t = get_tap(env, info, 2, argv);
  if (t == NULL) return NULL;
  if (napi_get_value_bool(env, argv[1], &t->lro) != napi_ok) return throw_argument(env, "setLro: a boolean is needed");
  return NULL;
}

/* close(id, onClosed?): the descriptor is closed on return; the callback comes when the event loop has let go. */
static napi_value js_close(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  napi_valuetype type = napi_undefined;
  struct tap *t = get_tap(env, info, 1, argv);
  size_t argc = 2;
  if (t == NULL) return NULL;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  if (napi_typeof(env, argv[1], &type) == napi_ok && type == napi_function) napi_create_reference(env, argv[1], 1, &t->on_closed);
  tap_close(t);
  return NULL;
}

static void free_instance(napi_env env, void *data, void *hint) {
  struct instance *inst = data;
  (void)env;
  (void)hint;
  if (inst->memories != NULL) inst->memories->at = NULL;
  free(inst);
}

static void export_function(napi_env env, napi_value exports, const char *name, napi_callback fn) {
  napi_value value;
  if (napi_create_function(env, name, NAPI_AUTO_LENGTH, fn, NULL, &value) == napi_ok)
    napi_set_named_property(env, exports, name, value);
}

NAPI_MODULE_INIT() {
  const char *type = uv_handle_type_name(TYPE_POLL);
  struct instance *inst = NULL;
  if (type == NULL || strcmp(type, "poll") != 0) {
    napi_throw_error(env, NULL, "tap.node was written for another libuv: its poll handle has another number");
    return NULL;
  }
  inst = calloc(1, sizeof *inst);
  if (inst == NULL || napi_set_instance_data(env, inst, free_instance, NULL) != napi_ok) {
    free(inst);
    return throw_errno(env, ENOMEM, "tap.node");
  }
  export_function(env, exports, "open", js_open);
  export_function(env, exports, "memory", js_memory);
  export_function(env, exports, "start", js_start);
  export_function(env, exports, "writeBatch", js_write_batch);
  export_function(env, exports, "pause", js_pause);
  export_function(env, exports, "resume", js_resume);
  export_function(env, exports, "setOffload", js_set_offload);
  export_function(env, exports, "setSpin", js_set_spin);
  export_function(env, exports, "setLro", js_set_lro);
  export_function(env, exports, "close", js_close);
  return exports;
}
