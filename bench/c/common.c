/* Clocks, CPU accounts from /proc, sockets, and the report of latencies. */
#define _GNU_SOURCE
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <netinet/tcp.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

void die(const char *what) {
  fprintf(stderr, "client: %s: %s\n", what, strerror(errno));
  exit(1);
}

uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

double now_s(void) { return (double)now_ns() * 1e-9; }

/* proc_pid_stat(5): fields 14 and 15, which stand after the command's name in brackets. */
struct cpu target_cpu(void) {
  struct cpu sum = {0, 0};
  double hz = (double)sysconf(_SC_CLK_TCK);
  for (int i = 0; i < opt.npids; i++) {
    char path[64], text[2048];
    snprintf(path, sizeof path, "/proc/%d/stat", opt.pids[i]);
    int fd = open(path, O_RDONLY);
    if (fd < 0) continue;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) continue;
    text[n] = 0;
    char *end = strrchr(text, ')');
    unsigned long user = 0, sys = 0;
    if (end != NULL && sscanf(end + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys) == 2) {
      sum.user += (double)user / hz;
      sum.sys += (double)sys / hz;
    }
  }
  return sum;
}

struct machine machine_cpu(void) {
  struct machine m = {0, 0};
  unsigned long v[8] = {0};
  FILE *f = fopen("/proc/stat", "r");
  if (f == NULL) return m;
  int n = fscanf(f, "cpu %lu %lu %lu %lu %lu %lu %lu %lu", v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7);
  fclose(f);
  if (n < 7) return m;
  double hz = (double)sysconf(_SC_CLK_TCK);
  m.busy = (double)(v[0] + v[1] + v[2] + v[5] + v[6]) / hz;
  m.soft = (double)(v[5] + v[6]) / hz;
  return m;
}

static long field_kb(const char *path, const char *format) {
  char line[256];
  long kb = 0;
  FILE *f = fopen(path, "r");
  if (f == NULL) return 0;
  while (fgets(line, sizeof line, f) != NULL)
    if (sscanf(line, format, &kb) == 1) break;
  fclose(f);
  return kb;
}

long target_rss_kb(void) {
  long sum = 0;
  for (int i = 0; i < opt.npids; i++) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/status", opt.pids[i]);
    sum += field_kb(path, "VmRSS: %ld");
  }
  return sum;
}

long mem_available_kb(void) { return field_kb("/proc/meminfo", "MemAvailable: %ld"); }

int tcp_socket(int nonblocking) {
  static unsigned turn;
  int one = 1;
  int fd = socket(AF_INET, SOCK_STREAM | (nonblocking ? SOCK_NONBLOCK : 0), 0);
  if (fd < 0) die("socket");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (opt.sources > 0) {
    struct sockaddr_in from = {.sin_family = AF_INET};
    uint32_t net = ntohl(opt.target.sin_addr.s_addr) & 0xffffff00u;
    from.sin_addr.s_addr = htonl(net + 10 + turn++ % (unsigned)opt.sources);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    /* The port is chosen at connect, so that one port serves each address. */
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0) die("bind");
  }
  return fd;
}

void reset_close(int fd) {
  struct linger now = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(fd);
}

int socket_error(int fd) {
  int error = 0;
  socklen_t len = sizeof error;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
  return error;
}

void fill_chargen(unsigned char *to, size_t len) {
  for (size_t i = 0; i < len; i++) {
    size_t at = i % CHARGEN_PERIOD, line = at / 74, column = at % 74;
    to[i] = column < 72 ? (unsigned char)(' ' + (line + column) % 95) : column == 72 ? '\r' : '\n';
  }
}

int open_all(int *fds, int conns, int inflight, double limit_s) {
  struct epoll_event events[256];
  int ep = epoll_create1(0);
  int up = 0, failed = 0, started = 0;
  double quiet_since = now_s();
  if (ep < 0) die("epoll_create1");
  while (up + failed < conns && now_s() - quiet_since < limit_s) {
    while (started < conns && started - up - failed < inflight) {
      int fd = tcp_socket(1);
      struct epoll_event e = {.events = EPOLLOUT, .data.u32 = (uint32_t)started};
      fds[started++] = fd;
      if (connect(fd, (struct sockaddr *)&opt.target, sizeof opt.target) < 0 && errno != EINPROGRESS) die("connect");
      epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
    }
    int n = epoll_wait(ep, events, 256, 100);
    for (int i = 0; i < n; i++) {
      int *fd = &fds[events[i].data.u32];
      epoll_ctl(ep, EPOLL_CTL_DEL, *fd, NULL);
      if (socket_error(*fd) == 0) {
        up++;
      } else {
        failed++;
        close(*fd);
        *fd = -1;
      }
      quiet_since = now_s();
    }
  }
  close(ep);
  for (int i = started; i < conns; i++) fds[i] = -1;
  return up;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double quantile(const double *sorted, long n, double p) {
  long i = (long)(p * (double)n);
  return n == 0 ? -1 : sorted[i < n ? i : n - 1];
}

void report_latency(double *us, long n, long lost, long wrong, double seconds, struct cpu used, struct machine busy) {
  qsort(us, (size_t)n, sizeof *us, compare);
  printf("{\"rate\":%.1f,\"n\":%ld,\"lost\":%ld,\"wrong\":%ld,\"p50_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f,\"max_us\":%.1f,"
         "\"cpu_s\":%.2f,\"busy_s\":%.2f,\"secs\":%.4f}\n",
         (double)n / seconds, n, lost, wrong, quantile(us, n, .5), quantile(us, n, .99), quantile(us, n, .999),
         n > 0 ? us[n - 1] : -1, used.user + used.sys, busy.busy, seconds);
}
