/* Bulk transfer: `send` counts what the target's TCP has acknowledged, `receive` what arrived, and checks samples of its text. */
#define _GNU_SOURCE
#include "client.h"

#include <errno.h>
#include <linux/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* Bytes compared with RFC 864's text at the head of each read. */
#define SAMPLE 64

struct conn {
  int fd;
  int alive;
  uint64_t bytes;
  uint64_t at_start;
};

static uint64_t acknowledged(int fd, uint32_t *retrans) {
  struct tcp_info info;
  socklen_t len = sizeof info;
  memset(&info, 0, sizeof info);
  getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
  *retrans = info.tcpi_total_retrans;
  return info.tcpi_bytes_acked;
}

static unsigned char *buffer;
static unsigned char *text;
static long wrong;

/* Moves what can be moved now on one connection; false when it has ended. */
static int move(struct conn *c, int sending, int times) {
  while (times-- > 0) {
    ssize_t n = sending ? send(c->fd, text, opt.buffer, MSG_NOSIGNAL) : recv(c->fd, buffer, opt.buffer, 0);
    if (n < 0 && errno == EAGAIN) return 1;
    if (n <= 0) return 0;
    if (!sending) {
      size_t sample = n < SAMPLE ? (size_t)n : SAMPLE;
      if (memcmp(buffer, text + c->bytes % CHARGEN_PERIOD, sample) != 0) wrong++;
    }
    c->bytes += (uint64_t)n;
    if (!sending && (size_t)n < opt.buffer) return 1;
  }
  return 1;
}

static void report(struct conn *conns, int up, int lost, int sending, double seconds, struct cpu used, struct machine busy) {
  uint64_t total = 0, least = UINT64_MAX;
  double squares = 0;
  long retrans = 0;
  int starved = 0;
  for (int i = 0; i < opt.conns; i++) {
    struct conn *c = &conns[i];
    uint32_t again = 0;
    if (c->fd < 0) continue;
    uint64_t acked = acknowledged(c->fd, &again);
    uint64_t got = (sending && c->alive ? acked : c->bytes) - c->at_start;
    if (!c->alive && sending) got = 0;
    retrans += again;
    total += got;
    squares += (double)got * (double)got;
    if (got < least) least = got;
    if (got == 0) starved++;
  }
  printf("{\"gbps\":%.4f,\"bytes\":%llu,\"up\":%d,\"lost\":%d,\"starved\":%d,\"jain\":%.4f,\"least\":%llu,\"retrans\":%ld,"
         "\"wrong\":%ld,\"cpu_s\":%.2f,\"busy_s\":%.2f,\"secs\":%.4f}\n",
         (double)total * 8 / seconds / 1e9, (unsigned long long)total, up, lost, starved + opt.conns - up,
         squares > 0 ? (double)total * (double)total / (squares * opt.conns) : 0, up > 0 ? (unsigned long long)least : 0, retrans,
         wrong, used.user + used.sys, busy.busy, seconds);
}

void run_bulk(int sending) {
  struct conn *conns = calloc((size_t)opt.conns, sizeof *conns);
  int *fds = calloc((size_t)opt.conns, sizeof *fds);
  struct epoll_event events[256];
  int ep = epoll_create1(0);
  int lost = 0;
  buffer = malloc(opt.buffer);
  text = malloc(opt.buffer + CHARGEN_PERIOD + SAMPLE);
  if (conns == NULL || fds == NULL || buffer == NULL || text == NULL || ep < 0) die("memory");
  fill_chargen(text, opt.buffer + CHARGEN_PERIOD + SAMPLE);

  int up = open_all(fds, opt.conns, 64, 5);
  for (int i = 0; i < opt.conns; i++) {
    struct epoll_event e = {.events = sending ? EPOLLOUT : EPOLLIN, .data.u32 = (uint32_t)i};
    conns[i] = (struct conn){.fd = fds[i], .alive = fds[i] >= 0};
    if (fds[i] >= 0) epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &e);
  }

  double warm_until = now_s() + opt.warm, until = warm_until + opt.seconds, started = 0;
  struct cpu cpu = {0, 0};
  struct machine machine = {0, 0};
  for (;;) {
    double t = now_s();
    if (started == 0 && t >= warm_until) {
      for (int i = 0; i < opt.conns; i++) {
        uint32_t unused;
        if (conns[i].alive) conns[i].at_start = sending ? acknowledged(conns[i].fd, &unused) : conns[i].bytes;
      }
      cpu = target_cpu();
      machine = machine_cpu();
      started = now_s();
    }
    if (t >= until) break;
    int n = epoll_wait(ep, events, 256, 20);
    for (int i = 0; i < n; i++) {
      struct conn *c = &conns[events[i].data.u32];
      if (!c->alive || move(c, sending, opt.conns > 1 ? 2 : 4)) continue;
      c->alive = 0;
      lost++;
      epoll_ctl(ep, EPOLL_CTL_DEL, c->fd, NULL);
    }
  }
  double seconds = now_s() - started;
  struct cpu cpu_end = target_cpu();
  struct machine machine_end = machine_cpu();
  cpu = (struct cpu){cpu_end.user - cpu.user, cpu_end.sys - cpu.sys};
  machine = (struct machine){machine_end.busy - machine.busy, machine_end.soft - machine.soft};
  report(conns, up, lost, sending, seconds, cpu, machine);
  for (int i = 0; i < opt.conns; i++)
    if (fds[i] >= 0) reset_close(fds[i]);
}
