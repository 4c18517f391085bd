/*
 * Echo in a closed loop: `window` datagrams (or ICMP echo requests) outstanding, or one message on each of `conns` connections.
 * Each answer is compared byte by byte with what was asked.
 */
#define _GNU_SOURCE
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* A datagram's payload: when it was sent, its number, and a text that depends on the number. */
#define STAMP 12

static double *samples;
static long count, lost, wrong;
static struct cpu cpu;
static struct machine machine;
static double warm_until, until, started;

static void begin(void) {
  samples = malloc(sizeof *samples * SAMPLES_MAX);
  if (samples == NULL) die("memory");
  warm_until = now_s() + opt.warm;
  until = warm_until + opt.seconds;
}

/* True while the run goes on; throws away what the warm-up has collected. */
static int running(void) {
  double t = now_s();
  if (started == 0 && t >= warm_until) {
    count = lost = 0;
    cpu = target_cpu();
    machine = machine_cpu();
    started = now_s();
  }
  return t < until && count < SAMPLES_MAX;
}

static void end(void) {
  double seconds = now_s() - started;
  struct cpu c = target_cpu();
  struct machine m = machine_cpu();
  report_latency(samples, count, lost, wrong, seconds, (struct cpu){c.user - cpu.user, c.sys - cpu.sys},
                 (struct machine){m.busy - machine.busy, m.soft - machine.soft});
}

/* RFC 1071. */
static uint16_t checksum(const unsigned char *bytes, size_t len) {
  uint32_t sum = 0;
  for (size_t i = 0; i + 1 < len; i += 2) sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
  if (len % 2 == 1) sum += (uint32_t)bytes[len - 1] << 8;
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return htons((uint16_t)~sum);
}

void run_datagrams(int icmp) {
  static unsigned char out[MESSAGE_MAX + 64], in[MESSAGE_MAX + 128], text[MESSAGE_MAX + CHARGEN_PERIOD];
  int fd = icmp ? socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) : socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0) die("socket");
  if (connect(fd, (struct sockaddr *)&opt.target, sizeof opt.target) < 0) die("connect");
  int room = 4 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  struct timeval patience = {0, 200000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (opt.size < STAMP) opt.size = STAMP;
  size_t size = (size_t)opt.size, head = icmp ? sizeof(struct icmphdr) : 0;
  fill_chargen(text, sizeof text);
  uint16_t id = htons((uint16_t)getpid());
  uint32_t seq = 0;
  int outstanding = 0;

  begin();
  while (running()) {
    for (; outstanding < opt.window; outstanding++, seq++) {
      uint64_t at = now_ns();
      memcpy(out + head, &at, 8);
      memcpy(out + head + 8, &seq, 4);
      memcpy(out + head + STAMP, text + seq % CHARGEN_PERIOD, size - STAMP);
      if (icmp) {
        struct icmphdr h = {.type = ICMP_ECHO, .un.echo = {.id = id, .sequence = htons((uint16_t)seq)}};
        memcpy(out, &h, sizeof h);
        h.checksum = checksum(out, head + size);
        memcpy(out, &h, sizeof h);
      }
      if (send(fd, out, head + size, 0) < 0 && errno != ECONNREFUSED && errno != ENOBUFS && errno != EAGAIN) die("send");
    }
    ssize_t n = recv(fd, in, sizeof in, 0);
    if (n < 0) {
      if (errno != EAGAIN && errno != ECONNREFUSED) die("recv");
      lost += outstanding;
      outstanding = 0;
      continue;
    }
    unsigned char *p = in;
    if (icmp) {
      struct icmphdr h;
      size_t ip = (size_t)(in[0] & 15) * 4;
      if ((size_t)n < ip + sizeof h) continue;
      memcpy(&h, in + ip, sizeof h);
      if (h.type != ICMP_ECHOREPLY || h.un.echo.id != id) continue;
      p = in + ip + sizeof h;
      n -= (ssize_t)(ip + sizeof h);
    }
    uint64_t at;
    uint32_t number;
    memcpy(&at, p, 8);
    memcpy(&number, p + 8, 4);
    if ((size_t)n != size || memcmp(p + STAMP, text + number % CHARGEN_PERIOD, size - STAMP) != 0) wrong++;
    /* An answer from before a loss was declared. */
    if (seq - number > (uint32_t)opt.window * 4) continue;
    if (outstanding > 0) outstanding--;
    samples[count++] = (double)(now_ns() - at) / 1e3;
  }
  end();
}

void run_stream_echo(void) {
  static unsigned char in[MESSAGE_MAX], text[MESSAGE_MAX];
  struct epoll_event events[256];
  int *fds = calloc((size_t)opt.conns, sizeof *fds);
  size_t *got = calloc((size_t)opt.conns, sizeof *got), size = (size_t)opt.size;
  uint64_t *at = calloc((size_t)opt.conns, sizeof *at);
  int ep = epoll_create1(0);
  if (fds == NULL || got == NULL || at == NULL || ep < 0) die("memory");
  fill_chargen(text, sizeof text);
  if (open_all(fds, opt.conns, 64, 3) < opt.conns) die("connect");
  for (int i = 0; i < opt.conns; i++) {
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
    epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &e);
    at[i] = now_ns();
    if (send(fds[i], text, size, MSG_NOSIGNAL) < 0) die("send");
  }

  begin();
  while (running()) {
    int n = epoll_wait(ep, events, 256, 50);
    for (int j = 0; j < n && count < SAMPLES_MAX; j++) {
      uint32_t i = events[j].data.u32;
      ssize_t r = recv(fds[i], in, size - got[i], 0);
      if (r < 0 && errno == EAGAIN) continue;
      if (r <= 0) die("the target closed");
      if (memcmp(in, text + got[i], (size_t)r) != 0) wrong++;
      got[i] += (size_t)r;
      if (got[i] < size) continue;
      samples[count++] = (double)(now_ns() - at[i]) / 1e3;
      got[i] = 0;
      at[i] = now_ns();
      if (send(fds[i], text, size, MSG_NOSIGNAL) < 0) die("send");
    }
  }
  end();
  for (int i = 0; i < opt.conns; i++) reset_close(fds[i]);
}
