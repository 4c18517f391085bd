/*
 * The kernel's TCP behind a few lines: for the loss and fairness benches.
 *
 *   losspeer serve CC                     chargen on port 19, discard on port 9, with congestion control CC
 *   losspeer receive ADDRESS SECONDS WARM  bytes a second from port 19, after WARM seconds
 *   losspeer send ADDRESS SECONDS WARM CC  the same to port 9, counted by what was acknowledged
 *
 * The client prints one number: bits a second.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char data[262144];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void choose(int fd, const char *cc) {
  if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, cc, (socklen_t)strlen(cc)) != 0) fail(cc);
}

static int listener(int port, const char *cc) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  choose(fd, cc);
  if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 64) != 0) fail("listen");
  return fd;
}

static void serve(const char *cc) {
  int chargen = listener(19, cc), discard = listener(9, cc), poller = epoll_create1(0);
  static char sends[65536];
  for (int i = 0; i < 2; i++) {
    int fd = i == 0 ? chargen : discard;
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
  }
  puts("ready");
  fflush(stdout);
  for (;;) {
    struct epoll_event got[64];
    int n = epoll_wait(poller, got, 64, -1);
    for (int i = 0; i < n; i++) {
      int fd = got[i].data.fd;
      if (fd == chargen || fd == discard) {
        int c = accept4(fd, NULL, NULL, SOCK_NONBLOCK);
        if (c < 0 || c >= (int)sizeof sends) continue;
        sends[c] = fd == chargen;
        struct epoll_event e = {.events = fd == chargen ? EPOLLOUT : EPOLLIN, .data.fd = c};
        epoll_ctl(poller, EPOLL_CTL_ADD, c, &e);
        continue;
      }
      ssize_t done = sends[fd] ? send(fd, data, sizeof data, MSG_NOSIGNAL) : recv(fd, data, sizeof data, 0);
      if (done == 0 || (done < 0 && errno != EAGAIN)) close(fd);
    }
  }
}

static uint64_t acknowledged(int fd) {
  struct tcp_info info;
  socklen_t len = sizeof info;
  memset(&info, 0, sizeof info);
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0) fail("TCP_INFO");
  return info.tcpi_bytes_acked;
}

static int client(int sends, const char *address, double seconds, double warm, const char *cc) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(sends ? 9 : 19)};
  struct timeval short_wait = {.tv_usec = 50000};
  if (inet_pton(AF_INET, address, &to.sin_addr) != 1) return 2;
  if (cc != NULL) choose(fd, cc);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) fail("connect");
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &short_wait, sizeof short_wait);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &short_wait, sizeof short_wait);
  double start = now() + warm, end = start + seconds, began = 0;
  uint64_t bytes = 0, base = 0;
  for (;;) {
    double t = now();
    if (began == 0 && t >= start) {
      began = t;
      base = sends ? acknowledged(fd) : bytes;
    }
    if (t >= end) break;
    ssize_t n = sends ? send(fd, data, 65536, MSG_NOSIGNAL) : recv(fd, data, sizeof data, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) fail("connection");
    if (n > 0) bytes += (uint64_t)n;
  }
  if (sends) bytes = acknowledged(fd);
  printf("%.0f\n", (double)(bytes - base) * 8 / (now() - began));
  struct linger reset = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  return 0;
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  memset(data, 'x', sizeof data);
  if (argc == 3 && strcmp(argv[1], "serve") == 0) serve(argv[2]);
  if (argc >= 5 && strcmp(argv[1], "receive") == 0) return client(0, argv[2], atof(argv[3]), atof(argv[4]), argc > 5 ? argv[5] : NULL);
  if (argc >= 5 && strcmp(argv[1], "send") == 0) return client(1, argv[2], atof(argv[3]), atof(argv[4]), argc > 5 ? argv[5] : NULL);
  fprintf(stderr, "losspeer serve CC | receive ADDRESS SECONDS WARM | send ADDRESS SECONDS WARM [CC]\n");
  return 2;
}
