/* Options of the bench's client. */
#define _GNU_SOURCE
#include "client.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct options opt = {.conns = 1, .seconds = 3, .warm = 0.5, .size = 64, .window = 1, .buffer = 131072};

static int usage(void) {
  fprintf(stderr, "client send|receive|udp|icmp|tcp|connect|idle ADDRESS:PORT [-c connections] [-t seconds] [-W warm-up seconds]\n"
                  "       [-s message bytes] [-w outstanding] [-b buffer bytes] [-i source addresses] [-p pid,...]\n");
  return 2;
}

static void take_pids(char *list) {
  for (char *one = strtok(list, ","); one != NULL && opt.npids < 16; one = strtok(NULL, ",")) opt.pids[opt.npids++] = atoi(one);
}

/* As many as root may have here: more than the present hard limit where that is allowed. */
static void raise_file_limit(void) {
  struct rlimit files = {200000, 200000};
  if (setrlimit(RLIMIT_NOFILE, &files) == 0) return;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

int main(int argc, char **argv) {
  if (argc < 3) return usage();
  opt.mode = argv[1];
  char *colon = strchr(argv[2], ':');
  if (colon == NULL) return usage();
  *colon = 0;
  opt.target.sin_family = AF_INET;
  opt.target.sin_port = htons((uint16_t)atoi(colon + 1));
  if (inet_pton(AF_INET, argv[2], &opt.target.sin_addr) != 1) return usage();
  optind = 3;
  for (int o; (o = getopt(argc, argv, "c:t:W:s:w:b:i:p:")) != -1;) {
    switch (o) {
      case 'c': opt.conns = atoi(optarg); break;
      case 't': opt.seconds = atof(optarg); break;
      case 'W': opt.warm = atof(optarg); break;
      case 's': opt.size = atoi(optarg); break;
      case 'w': opt.window = atoi(optarg); break;
      case 'b': opt.buffer = (size_t)atol(optarg); break;
      case 'i': opt.sources = atoi(optarg); break;
      case 'p': take_pids(optarg); break;
      default: return usage();
    }
  }
  if (opt.conns < 1 || opt.size < 1 || opt.size > MESSAGE_MAX || opt.buffer < 1) return usage();
  signal(SIGPIPE, SIG_IGN);
  raise_file_limit();

  if (strcmp(opt.mode, "send") == 0) run_bulk(1);
  else if (strcmp(opt.mode, "receive") == 0) run_bulk(0);
  else if (strcmp(opt.mode, "udp") == 0) run_datagrams(0);
  else if (strcmp(opt.mode, "icmp") == 0) run_datagrams(1);
  else if (strcmp(opt.mode, "tcp") == 0) run_stream_echo();
  else if (strcmp(opt.mode, "connect") == 0) run_connections();
  else if (strcmp(opt.mode, "idle") == 0) run_idle();
  else return usage();
  return 0;
}
