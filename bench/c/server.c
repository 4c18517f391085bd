/*
 * The reference: the kernel's own TCP/IP behind one epoll thread in C. Echo (RFC 862) on 7 over TCP and UDP, discard (RFC 863) on 9,
 * chargen (RFC 864) on 19, and on 80 an HTTP/1.1 answer of five bytes for each request head.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define FILES 200000
#define PERIOD (95 * 74)
#define BUFFER (PERIOD * 37)
#define BATCH 64
#define READ 65536
#define KEPT 131072

enum kind { NONE, ECHO, DISCARD, CHARGEN, HTTP, DATAGRAM, LISTEN };

struct file {
  unsigned char kind;
  /* Of a listener: the kind of what it accepts. */
  unsigned char accepts;
  /* How much of CR LF CR LF has been read. */
  unsigned char head;
  /* Position in chargen's period of the byte that is sent next. */
  unsigned short at;
  /* Echo, HTTP: bytes that could not be sent yet. */
  unsigned waiting;
  char *kept;
};

static struct file files[FILES];
static unsigned char buffer[BUFFER], text[BUFFER + PERIOD];
static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello";
static int ep;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void watch(int fd, int operation, unsigned events) {
  struct epoll_event e = {.events = events, .data.fd = fd};
  if (epoll_ctl(ep, operation, fd, &e) < 0) fail("epoll_ctl");
}

static void end(int fd) {
  free(files[fd].kept);
  files[fd] = (struct file){.kind = NONE};
  close(fd);
}

static void serve(int type, int port, enum kind accepts) {
  int one = 1, fd = socket(AF_INET, type | SOCK_NONBLOCK, 0);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  if (fd < 0) fail("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0) fail("bind");
  if (type == SOCK_STREAM && listen(fd, 4096) < 0) fail("listen");
  files[fd] = (struct file){.kind = type == SOCK_STREAM ? LISTEN : DATAGRAM, .accepts = (unsigned char)accepts};
  watch(fd, EPOLL_CTL_ADD, EPOLLIN);
}

static void accept_all(int fd) {
  for (int c; (c = accept4(fd, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
    int one = 1;
    if (c >= FILES) {
      close(c);
      continue;
    }
    setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    files[c] = (struct file){.kind = files[fd].accepts};
    watch(c, EPOLL_CTL_ADD, files[c].kind == CHARGEN ? EPOLLOUT : EPOLLIN);
  }
}

/* Sends what waits. */
static void drain(int fd) {
  struct file *f = &files[fd];
  ssize_t n = send(fd, f->kept, f->waiting, MSG_NOSIGNAL);
  if (n < 0 && errno == EAGAIN) return;
  if (n < 0) return end(fd);
  memmove(f->kept, f->kept + n, f->waiting -= (unsigned)n);
  if (f->waiting == 0) watch(fd, EPOLL_CTL_MOD, EPOLLIN);
}

/* Sends; what does not fit now is kept, and nothing is read until it has gone. */
static void reply(int fd, const void *bytes, size_t len) {
  struct file *f = &files[fd];
  ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
  if (n < 0 && errno != EAGAIN) return end(fd);
  if (n < 0) n = 0;
  if ((size_t)n == len) return;
  if (f->kept == NULL && (f->kept = malloc(KEPT)) == NULL) return end(fd);
  f->waiting = (unsigned)(len - (size_t)n);
  memcpy(f->kept, (const char *)bytes + n, f->waiting);
  watch(fd, EPOLL_CTL_MOD, EPOLLOUT);
}

static void echo(int fd) {
  ssize_t r = recv(fd, buffer, READ, 0);
  if (r < 0 && errno == EAGAIN) return;
  if (r <= 0) return end(fd);
  reply(fd, buffer, (size_t)r);
}

static void discard(int fd) {
  for (int i = 0; i < 4; i++) {
    ssize_t r = recv(fd, buffer, BUFFER, 0);
    if (r < 0 && errno == EAGAIN) return;
    if (r <= 0) return end(fd);
    if (r < BUFFER) return;
  }
}

static void chargen(int fd) {
  for (int i = 0; i < 4; i++) {
    ssize_t n = send(fd, text + files[fd].at, BUFFER, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) return end(fd);
    files[fd].at = (unsigned short)((files[fd].at + (size_t)n) % PERIOD);
    if (n < BUFFER) return;
  }
}

static void http(int fd) {
  static char answers[KEPT];
  size_t len = 0;
  /* The shortest head is 18 bytes: what comes of one read fits. */
  ssize_t r = recv(fd, buffer, READ / 4, 0);
  if (r < 0 && errno == EAGAIN) return;
  if (r <= 0) return end(fd);
  struct file *f = &files[fd];
  for (ssize_t i = 0; i < r; i++) {
    if (buffer[i] == (f->head & 1 ? '\n' : '\r')) f->head++;
    else f->head = buffer[i] == '\r';
    if (f->head < 4) continue;
    f->head = 0;
    if (len + sizeof ANSWER > sizeof answers) return end(fd);
    memcpy(answers + len, ANSWER, sizeof ANSWER - 1);
    len += sizeof ANSWER - 1;
  }
  if (len > 0) reply(fd, answers, len);
}

static void datagrams(int fd) {
  struct sockaddr_in from;
  for (int i = 0; i < BATCH; i++) {
    socklen_t len = sizeof from;
    ssize_t r = recvfrom(fd, buffer, BUFFER, 0, (struct sockaddr *)&from, &len);
    if (r < 0) return;
    sendto(fd, buffer, (size_t)r, 0, (struct sockaddr *)&from, len);
  }
}

int main(void) {
  struct epoll_event events[512];
  struct rlimit limit = {FILES, FILES};
  if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
    /* Not allowed here: as many as are. */
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  signal(SIGPIPE, SIG_IGN);
  for (int i = 0; i < BUFFER + PERIOD; i++) {
    int at = i % PERIOD, line = at / 74, column = at % 74;
    text[i] = (unsigned char)(column < 72 ? ' ' + (line + column) % 95 : column == 72 ? '\r' : '\n');
  }
  if ((ep = epoll_create1(0)) < 0) fail("epoll_create1");
  serve(SOCK_STREAM, 7, ECHO);
  serve(SOCK_STREAM, 9, DISCARD);
  serve(SOCK_STREAM, 19, CHARGEN);
  serve(SOCK_STREAM, 80, HTTP);
  serve(SOCK_DGRAM, 7, NONE);
  puts("ready");
  fflush(stdout);
  for (;;) {
    int n = epoll_wait(ep, events, 512, -1);
    for (int i = 0; i < n; i++) {
      int fd = events[i].data.fd;
      switch ((enum kind)files[fd].kind) {
        case LISTEN: accept_all(fd); break;
        case ECHO: files[fd].waiting > 0 ? drain(fd) : echo(fd); break;
        case DISCARD: discard(fd); break;
        case CHARGEN: chargen(fd); break;
        case HTTP: files[fd].waiting > 0 ? drain(fd) : http(fd); break;
        case DATAGRAM: datagrams(fd); break;
        case NONE: break;
      }
    }
  }
}
