/** Opens a TAP device and configures the host's side of it, or says in one line why not. */
import type { DriverEnv, DriverOptions, OpenFailure, OpenedLink } from '../driver.ts';
import { localLladdr, splitIfName } from '../ifname.ts';
import { type TapAddon, type TapDevice, errorCode, loadAddon } from './addon.ts';
import { HostSide } from './host.ts';
import { SPIN_MAX_US, TAP_MAX_MTU, createTapLink, leaveFinished } from './tap.ts';

/** Longest interface name in Linux, in bytes. */
const NAME_MAX = 15;

export function openTap(env: DriverEnv, options: DriverOptions): OpenedLink | OpenFailure {
  const error = checkTapName(options) ?? checkMtu(options.mtu) ?? checkSpin(options.spinUs);
  if (error !== null) return { error };
  const addon = loadAddon();
  if ('error' in addon) return addon;
  const device = openDevice(addon, options, options.offload);
  if ('error' in device) return device;
  const host = new HostSide(device.name, device.existed);
  const failure = host.configure(options);
  if (failure !== null) {
    leaveFinished(addon, device);
    addon.close(device.id);
    return { error: failure };
  }
  const lladdr = options.lladdr ?? localLladdr(env.random);
  const { link, counters, setSpinUs, setLro } = createTapLink({ addon, device, host, lladdr, mtu: options.mtu });
  setSpinUs(options.spinUs);
  env.log.info(
    { tap: device.name, features: device.features, vnetHdr: device.vnetHdr, joined: device.existed },
    'TAP device is open',
  );
  return { link, ...splitIfName(device.name), hostName: device.name, counters, setSpinUs, setLro };
}

/** Opens the device with an error text for everything that commonly goes wrong. */
export function openDevice(
  addon: TapAddon,
  options: { name: string; fd: number | null },
  offload: boolean,
): TapDevice | OpenFailure {
  try {
    return addon.open({ name: options.name, fd: options.fd ?? -1, vnetHdr: offload, offload });
  } catch (err) {
    return { error: describe(err, options) };
  }
}

function describe(err: unknown, { name, fd }: { name: string; fd: number | null }): string {
  const message = err instanceof Error ? err.message : String(err);
  const code = errorCode(err);
  if (fd !== null) {
    if (code === 'EBADF') return `descriptor ${fd} is not open`;
    return `descriptor ${fd} is not a TAP device that can be used (${message})`;
  }
  if (message.startsWith('open ')) {
    if (code === 'ENOENT') return 'there is no /dev/net/tun: load the module (modprobe tun), or give the container the device';
    if (code === 'ENODEV' || code === 'ENXIO') return '/dev/net/tun has no driver behind it: load the module (modprobe tun)';
    if (code === 'EACCES' || code === 'EPERM') return 'no permission to open /dev/net/tun: run as root, or with CAP_NET_ADMIN';
  }
  if (code === 'EPERM') return `no permission to create or join '${name}': run as root, or with CAP_NET_ADMIN`;
  if (code === 'EBUSY') return `TAP device '${name}' is in use by another process`;
  if (code === 'EINVAL') return `'${name}' exists and is not a TAP device with one queue`;
  return `cannot open TAP device '${name}': ${message}`;
}

function checkTapName({ name, fd }: DriverOptions): string | null {
  if (fd !== null) return Number.isInteger(fd) && fd >= 0 ? null : `'${fd}' is not a descriptor`;
  if (name === '' || name === '.' || name === '..' || /[\s/:%]/.test(name)) return `'${name}' is not a name for an interface`;
  const bytes = new TextEncoder().encode(name).length;
  return bytes <= NAME_MAX ? null : `interface name '${name}' is too long: ${bytes} bytes, ${NAME_MAX} at most`;
}

function checkMtu(mtu: number): string | null {
  return Number.isInteger(mtu) && mtu >= 68 && mtu <= TAP_MAX_MTU ? null : `MTU ${mtu} is out of range: 68 to ${TAP_MAX_MTU}`;
}

function checkSpin(us: number): string | null {
  return Number.isInteger(us) && us >= 0 && us <= SPIN_MAX_US
    ? null
    : `busy polling of ${us} us is out of range: 0 to ${SPIN_MAX_US}`;
}
