/*
 * A link in user space between two interfaces, for kernels without netem: loss, delay, rate and queue, decided by a seed.
 *
 *   relay IF1 IF2 [loss=PERCENT] [delay=MS] [rate=KBIT] [limit=FRAMES] [seed=N]
 *
 * Both directions alike; a name that ends in 1 is for IF1 to IF2 only, in 2 for the other way. `delay` is one way. On SIGTERM it prints
 * what each direction did. The interfaces' offloads must be off, or frames are larger than what the other side takes.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX 2048
#define RING 65536
#define BURST 64

struct frame {
  double due;
  int len;
  unsigned char bytes[FRAME_MAX];
};

/* One direction. Delay is the same for all its frames, so that they leave in the order in which they came: a ring does. */
struct way {
  double loss, delay, rate, limit;
  int in, out;
  double busy;
  struct frame **ring;
  unsigned head, tail;
  long received, lost, full;
};

static struct way ways[2];
static uint64_t random_state = 0x9e3779b97f4a7c15ull;
static volatile sig_atomic_t stopping;

static void stop(int sig) {
  (void)sig;
  stopping = 1;
}

/* splitmix64, as a fraction of one. */
static double fraction(void) {
  uint64_t z = random_state += 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static int open_interface(const char *name) {
  struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(name)};
  int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
  int one = 1, space = 16 << 20;
  struct packet_mreq promiscuous = {.mr_ifindex = at.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
  if (fd < 0 || at.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0) {
    perror(name);
    exit(1);
  }
  setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous);
  setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
  setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &space, sizeof space);
  return fd;
}

static void set(const char *arg) {
  static const struct {
    const char *name;
    size_t at;
  } keys[] = {{"loss", offsetof(struct way, loss)},
              {"delay", offsetof(struct way, delay)},
              {"rate", offsetof(struct way, rate)},
              {"limit", offsetof(struct way, limit)}};
  const char *value = strchr(arg, '=');
  if (value == NULL) return;
  size_t len = (size_t)(value++ - arg);
  if (len == 4 && strncmp(arg, "seed", 4) == 0) {
    random_state ^= strtoull(value, NULL, 0) * 0x2545f4914f6cdd1dull;
    return;
  }
  int only = -1;
  if (arg[len - 1] == '1' || arg[len - 1] == '2') only = arg[--len] - '1';
  for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
    if (strlen(keys[k].name) != len || strncmp(keys[k].name, arg, len) != 0) continue;
    for (int d = 0; d < 2; d++)
      if (only < 0 || only == d) *(double *)((char *)&ways[d] + keys[k].at) = atof(value);
    return;
  }
  fprintf(stderr, "relay: %s: loss, delay, rate, limit or seed\n", arg);
  exit(2);
}

static void take(struct way *w) {
  for (int k = 0; k < BURST; k++) {
    struct frame *f = w->ring[w->tail % RING];
    if (f == NULL) f = w->ring[w->tail % RING] = malloc(sizeof *f);
    ssize_t n = recv(w->in, f->bytes, FRAME_MAX, MSG_DONTWAIT | MSG_TRUNC);
    if (n <= 0) return;
    w->received++;
    if (n > FRAME_MAX || (w->loss > 0 && fraction() * 100 < w->loss)) {
      w->lost++;
      continue;
    }
    if ((w->rate == 0 && w->tail - w->head >= w->limit) || w->tail - w->head >= RING - 1) {
      w->full++;
      continue;
    }
    double due = now_ms();
    if (w->rate > 0) {
      /* The queue in front of the rate holds `limit` frames; what waits for the delay only does not count much at low rates. */
      if (w->busy < due) w->busy = due;
      double queued = (w->busy - due) * w->rate / 8 / 1514;
      if (queued >= w->limit) {
        w->full++;
        continue;
      }
      w->busy += n * 8 / w->rate;
      due = w->busy;
    }
    f->due = due + w->delay;
    f->len = (int)n;
    w->tail++;
  }
}

static void give(struct way *w) {
  double t = now_ms();
  for (; w->head != w->tail && w->ring[w->head % RING]->due <= t; w->head++) {
    struct frame *f = w->ring[w->head % RING];
    if (send(w->out, f->bytes, (size_t)f->len, 0) < 0 && errno != ENOBUFS && errno != EMSGSIZE && errno != ENETDOWN) perror("send");
  }
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "relay IF1 IF2 [loss=PERCENT] [delay=MS] [rate=KBIT] [limit=FRAMES] [seed=N]\n");
    return 2;
  }
  int fds[2] = {open_interface(argv[1]), open_interface(argv[2])};
  for (int d = 0; d < 2; d++) {
    ways[d].in = fds[d];
    ways[d].out = fds[!d];
    ways[d].limit = RING;
    ways[d].ring = calloc(RING, sizeof *ways[d].ring);
  }
  for (int i = 3; i < argc; i++) set(argv[i]);
  signal(SIGTERM, stop);
  signal(SIGINT, stop);
  puts("ready");
  fflush(stdout);
  while (!stopping) {
    double wait = 200, t = now_ms();
    for (int d = 0; d < 2; d++) {
      struct way *w = &ways[d];
      if (w->head != w->tail && w->ring[w->head % RING]->due - t < wait) wait = w->ring[w->head % RING]->due - t;
    }
    if (wait < 0) wait = 0;
    struct timespec span = {(time_t)(wait / 1e3), (long)(wait * 1e6) % 1000000000L};
    struct pollfd polled[2] = {{fds[0], POLLIN, 0}, {fds[1], POLLIN, 0}};
    ppoll(polled, 2, &span, NULL);
    for (int d = 0; d < 2; d++) {
      if (polled[d].revents & POLLIN) take(&ways[d]);
      give(&ways[d]);
    }
  }
  for (int d = 0; d < 2; d++)
    fprintf(stderr, "%s>%s received=%ld lost=%ld full=%ld\n", argv[1 + d], argv[2 - d], ways[d].received, ways[d].lost, ways[d].full);
  return 0;
}
