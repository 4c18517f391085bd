/* Short connections: connect, GET, the answer, close by the client; and many idle ones, to see what each costs. */
#define _GNU_SOURCE
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MAX 1024
/* A connection that takes longer has failed. */
#define LIMIT_NS 3000000000u

static const char REQUEST[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

struct exchange {
  int fd;
  int asked;
  uint64_t at;
  size_t got;
  char answer[ANSWER_MAX];
};

/* 1: complete and right, 0: more has to come, -1: not what was asked for. */
static int judge(const struct exchange *x) {
  static const char status[] = "HTTP/1.1 200 ";
  const char *body = memmem(x->answer, x->got, "\r\n\r\n", 4);
  if (body == NULL) return x->got < ANSWER_MAX ? 0 : -1;
  size_t have = (size_t)(x->answer + x->got - (body + 4));
  if (have < 5) return 0;
  return have == 5 && memcmp(body + 4, "hello", 5) == 0 && memcmp(x->answer, status, sizeof status - 1) == 0 ? 1 : -1;
}

static void start(struct exchange *x, int ep, uint32_t index) {
  struct epoll_event e = {.events = EPOLLOUT, .data.u32 = index};
  x->fd = tcp_socket(1);
  x->at = now_ns();
  x->asked = 0;
  x->got = 0;
  if (connect(x->fd, (struct sockaddr *)&opt.target, sizeof opt.target) < 0 && errno != EINPROGRESS) die("connect");
  epoll_ctl(ep, EPOLL_CTL_ADD, x->fd, &e);
}

/* One step of an exchange: 1 done, 0 goes on, -1 failed, -2 wrong bytes. */
static int step(struct exchange *x, int ep, uint32_t index) {
  if (!x->asked) {
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = index};
    if (socket_error(x->fd) != 0 || send(x->fd, REQUEST, sizeof REQUEST - 1, MSG_NOSIGNAL) < 0) return -1;
    x->asked = 1;
    epoll_ctl(ep, EPOLL_CTL_MOD, x->fd, &e);
    return 0;
  }
  ssize_t n = recv(x->fd, x->answer + x->got, ANSWER_MAX - x->got, 0);
  if (n < 0 && errno == EAGAIN) return 0;
  if (n <= 0) return -1;
  x->got += (size_t)n;
  int verdict = judge(x);
  return verdict < 0 ? -2 : verdict;
}

void run_connections(void) {
  struct epoll_event events[256];
  struct exchange *all = calloc((size_t)opt.conns, sizeof *all);
  double *samples = malloc(sizeof *samples * SAMPLES_MAX);
  int ep = epoll_create1(0);
  long count = 0, failed = 0, wrong = 0;
  if (all == NULL || samples == NULL || ep < 0) die("memory");
  for (int i = 0; i < opt.conns; i++) start(&all[i], ep, (uint32_t)i);

  double warm_until = now_s() + opt.warm, until = warm_until + opt.seconds, started = 0;
  struct cpu cpu = {0, 0};
  struct machine machine = {0, 0};
  for (;;) {
    double t = now_s();
    if (started == 0 && t >= warm_until) {
      count = failed = 0;
      cpu = target_cpu();
      machine = machine_cpu();
      started = now_s();
    }
    if (t >= until || count >= SAMPLES_MAX) break;
    int n = epoll_wait(ep, events, 256, 50);
    for (int j = 0; j < n && count < SAMPLES_MAX; j++) {
      uint32_t i = events[j].data.u32;
      struct exchange *x = &all[i];
      int verdict = step(x, ep, i);
      if (verdict == 0) continue;
      if (verdict == 1) samples[count++] = (double)(now_ns() - x->at) / 1e3;
      else failed++;
      if (verdict == -2) wrong++;
      close(x->fd);
      start(x, ep, i);
    }
    for (int i = 0; i < opt.conns; i++) {
      if (now_ns() - all[i].at <= LIMIT_NS) continue;
      failed++;
      reset_close(all[i].fd);
      start(&all[i], ep, (uint32_t)i);
    }
  }
  double seconds = now_s() - started;
  struct cpu c = target_cpu();
  struct machine m = machine_cpu();
  report_latency(samples, count, failed, wrong, seconds, (struct cpu){c.user - cpu.user, c.sys - cpu.sys},
                 (struct machine){m.busy - machine.busy, m.soft - machine.soft});
  for (int i = 0; i < opt.conns; i++) reset_close(all[i].fd);
}

/* Every so many-th connection is asked whether it still echoes; the estimate is for all of them. */
static int probe(const int *fds, int conns, int up) {
  int every = up > 50 ? up / 50 : 1, asked = 0, alive = 0;
  struct timeval patience = {1, 0};
  for (int i = 0; i < conns; i += every) {
    char c = 'z', back = 0;
    if (fds[i] < 0) continue;
    asked++;
    fcntl(fds[i], F_SETFL, fcntl(fds[i], F_GETFL) & ~O_NONBLOCK);
    setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (send(fds[i], &c, 1, MSG_NOSIGNAL) == 1 && recv(fds[i], &back, 1, 0) == 1 && back == c) alive++;
  }
  return asked == 0 ? 0 : (int)((double)up * alive / asked);
}

/* A process holds as many connections as it may have files: each holder has its share, and takes orders through its pipe. */
struct holder {
  pid_t pid;
  int orders;
  int answers;
};

static void order(struct holder *h) {
  char go = 'g';
  if (write(h->orders, &go, 1) != 1) die("write");
}

static int answer(struct holder *h) {
  int n = 0;
  if (read(h->answers, &n, sizeof n) != sizeof n) die("a holder of connections ended");
  return n;
}

static void hold(int orders, int answers, int conns) {
  int *fds = calloc((size_t)conns, sizeof *fds);
  char go;
  if (fds == NULL) die("memory");
  int up = open_all(fds, conns, 32, 4);
  if (write(answers, &up, sizeof up) != sizeof up || read(orders, &go, 1) != 1) exit(1);
  int alive = probe(fds, conns, up);
  if (write(answers, &alive, sizeof alive) != sizeof alive || read(orders, &go, 1) != 1) exit(1);
  for (int i = 0; i < conns; i++)
    if (fds[i] >= 0) reset_close(fds[i]);
  exit(0);
}

static struct holder start_holder(int conns) {
  int orders[2], answers[2];
  if (pipe(orders) < 0 || pipe(answers) < 0) die("pipe");
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    hold(orders[0], answers[1], conns);
  }
  close(orders[0]);
  close(answers[1]);
  return (struct holder){pid, orders[1], answers[0]};
}

void run_idle(void) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  int share = (int)files.rlim_cur - 64, holders = (opt.conns + share - 1) / share, up = 0, alive = 0;
  struct holder *all = calloc((size_t)holders, sizeof *all);
  if (all == NULL || share <= 0) die("limit of open files");
  long rss = target_rss_kb(), free_kb = mem_available_kb();
  double t = now_s();
  for (int i = 0; i < holders; i++) {
    all[i] = start_holder(i < holders - 1 ? share : opt.conns - share * (holders - 1));
    up += answer(&all[i]);
  }
  double setup = now_s() - t;
  /* Now, and not after the target has tidied up: that would give back memory which has nothing to do with connections, too. */
  usleep(300000);
  long rss_end = target_rss_kb(), free_end = mem_available_kb();
  usleep((useconds_t)(opt.warm * 1e6));
  struct cpu before = target_cpu();
  t = now_s();
  usleep((useconds_t)(opt.seconds * 1e6));
  struct cpu after = target_cpu();
  double idle = now_s() - t;
  double used = after.user - before.user + after.sys - before.sys;
  for (int i = 0; i < holders; i++) {
    order(&all[i]);
    alive += answer(&all[i]);
  }
  printf("{\"up\":%d,\"alive\":%d,\"setup_per_s\":%.0f,\"bytes_per_conn\":%.1f,\"machine_bytes_per_conn\":%.1f,"
         "\"idle_cpu_percent\":%.3f,\"secs\":%.3f}\n",
         up, alive, up / setup, up > 0 ? (double)(rss_end - rss) * 1024 / up : -1,
         up > 0 ? (double)(free_kb - free_end) * 1024 / up : -1, 100 * used / idle, idle);
  for (int i = 0; i < holders; i++) {
    order(&all[i]);
    waitpid(all[i].pid, NULL, 0);
  }
}
