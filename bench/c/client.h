/*
 * The bench's client: one process that loads a target through the kernel's own sockets and prints one JSON line. It runs in the
 * namespace beside the target, so that every stack is measured by the same code.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Latencies that are kept; a run ends early when they are full. */
#define SAMPLES_MAX 4000000
/* The period of RFC 864's text: 95 lines of 72 characters, CR and LF. */
#define CHARGEN_PERIOD (95 * 74)
/* Largest message of the echo modes in bytes. */
#define MESSAGE_MAX 65000

struct options {
  struct sockaddr_in target;
  const char *mode;
  int conns;
  double seconds;
  /* Before the measured time, with the same load. */
  double warm;
  int size;
  int window;
  size_t buffer;
  /* Client addresses to connect from, .10 upwards; 0: the default one. */
  int sources;
  /* Processes whose CPU and memory count as the target's. */
  pid_t pids[16];
  int npids;
};

struct cpu {
  double user;
  double sys;
};

struct machine {
  /* Seconds of all cores, and the part of them in interrupts. */
  double busy;
  double soft;
};

extern struct options opt;

double now_s(void);
uint64_t now_ns(void);
struct cpu target_cpu(void);
struct machine machine_cpu(void);
long target_rss_kb(void);
long mem_available_kb(void);
void die(const char *what);
/* A socket for the target; bound to one of the client addresses in turn when `sources` is set. */
int tcp_socket(int nonblocking);
/* Closes with a reset: nothing of the run stays in TIME-WAIT. */
void reset_close(int fd);
int socket_error(int fd);
void fill_chargen(unsigned char *to, size_t len);
/* Opens `conns` connections, `inflight` of them at a time, in limitS seconds; the descriptors, -1 for one that failed. */
int open_all(int *fds, int conns, int inflight, double limit_s);
void report_latency(double *us, long n, long lost, long wrong, double seconds, struct cpu used, struct machine busy);

void run_bulk(int sending);
void run_datagrams(int icmp);
void run_stream_echo(void);
void run_connections(void);
void run_idle(void);

#endif
