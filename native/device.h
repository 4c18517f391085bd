/*
 * device.h - the Linux side of a TAP device: opens or joins one and asks for offload. Part of tap.c, which is all that includes it.
 *
 * Interfaces: linux/if_tun.h (Documentation/networking/tuntap.rst in the Linux sources), netdevice(7).
 */
#ifndef NETMOD_DEVICE_H
#define NETMOD_DEVICE_H

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

/* Length of the virtio header: with the 14 of Ethernet behind it, the IP header is aligned to 4 bytes. */
enum { VNET_HDR = 10 };

/* What is wanted; when the device is open, what it is. */
struct request {
  char name[IFNAMSIZ];
  int fd; /* negative: open by name */
  bool vnet, offload;
  bool existed;      /* it was there before */
  unsigned features; /* TUN_F_* bits that were accepted */
};

/* Takes as many offloads as this kernel has, most wanted first. Those of UDP came with Linux 6.2, and only together. */
static unsigned set_offload(int fd, unsigned wanted) {
  const unsigned tcp = wanted & ~(unsigned)(TUN_F_USO4 | TUN_F_USO6);
  const unsigned steps[] = {wanted, tcp, tcp & ~(unsigned)TUN_F_TSO_ECN, tcp & TUN_F_CSUM};
  for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
    if (steps[i] != 0 && ioctl(fd, TUNSETOFFLOAD, (unsigned long)steps[i]) == 0) return steps[i];
  ioctl(fd, TUNSETOFFLOAD, 0UL);
  return 0;
}

/* Opens or joins the device that the request names. Returns an errno and the call that failed, or 0. */
static int open_by_name(struct request *r, const char **call) {
  struct ifreq ifr;
  *call = "open /dev/net/tun";
  r->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (r->fd < 0) return errno;
  r->existed = r->name[0] != '\0' && if_nametoindex(r->name) != 0;
  memset(&ifr, 0, sizeof ifr);
  memcpy(ifr.ifr_name, r->name, IFNAMSIZ);
  ifr.ifr_flags = IFF_TAP | IFF_NO_PI | (r->vnet ? IFF_VNET_HDR : 0);
  *call = "TUNSETIFF";
  if (ioctl(r->fd, TUNSETIFF, &ifr) < 0) return errno;
  memcpy(r->name, ifr.ifr_name, IFNAMSIZ);
  return 0;
}

/* Takes over a descriptor that someone else opened; what it is, the kernel says. */
static int open_by_fd(struct request *r, const char **call) {
  struct ifreq ifr;
  int flags = fcntl(r->fd, F_GETFL);
  *call = "fcntl";
  if (flags < 0) return errno;
  memset(&ifr, 0, sizeof ifr);
  *call = "TUNGETIFF";
  if (ioctl(r->fd, TUNGETIFF, &ifr) < 0) return errno;
  *call = "TUNGETIFF (a TAP with IFF_NO_PI is needed)";
  if ((ifr.ifr_flags & IFF_TAP) == 0 || (ifr.ifr_flags & IFF_NO_PI) == 0) return EOPNOTSUPP;
  *call = "fcntl";
  if (fcntl(r->fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(r->fd, F_SETFD, FD_CLOEXEC) < 0) return errno;
  memcpy(r->name, ifr.ifr_name, IFNAMSIZ);
  r->existed = true;
  if ((ifr.ifr_flags & IFF_VNET_HDR) == 0) r->offload = false;
  r->vnet = (ifr.ifr_flags & IFF_VNET_HDR) != 0;
  return 0;
}

static int tap_open(struct request *r, const char **call) {
  int err = r->fd < 0 ? open_by_name(r, call) : open_by_fd(r, call);
  if (err != 0) return err;
  if (r->vnet) {
    int size = VNET_HDR;
    *call = "TUNSETVNETHDRSZ";
    if (ioctl(r->fd, TUNSETVNETHDRSZ, &size) < 0) return errno;
  }
  const unsigned all = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6;
  r->features = set_offload(r->fd, r->vnet && r->offload ? all : 0);
  return 0;
}

#endif
