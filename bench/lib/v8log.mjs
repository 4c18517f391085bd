// @ts-check
/**
 * Reads what `node --log-deopt --log-ic --log-code` writes: which optimised code was thrown away and why, and at which sites objects of
 * more shapes met than an inline cache holds. Addresses are mapped to functions through the records of code that was made and moved.
 */

/**
 * @typedef {{ us: number, file: string, line: number, kind: string, reason: string }} Deopt
 * @typedef {{ fn: string, file: string, line: number, column: number, ic: string, key: string, hot: boolean }} Site
 * @typedef {{ name: string, file: string, start: number, end: number, full: string, optimised: boolean }} Code
 */

const HOT_TIER = '*';
const MEGAMORPHIC = 'N';

/** @param {string} text @param {string} root */
function relative(text, root) {
  const path = text.replace(/^file:\/\//, '');
  return path.startsWith(root) ? path.slice(root.length).replace(/^\//, '') : path;
}

/**
 * @param {Iterable<string>} lines
 * @param {string} root what file names are shown relative to
 * @returns {{ deopts: Deopt[], megamorphic: Site[] }} each site once
 */
export function parseV8Log(lines, root) {
  /** @type {Deopt[]} */
  const deopts = [];
  /** @type {Map<string, Site & { owner: Code }>} */
  const sites = new Map();
  /** @type {Map<number, Code>} newest last: what is newer may lie where something older was */
  const code = new Map();
  /** @type {Set<string>} functions, by name and place, that were optimised */
  const hot = new Set();

  for (const line of lines) {
    const f = line.split(',');
    switch (f[0]) {
      case 'code-creation': {
        const start = Number(f[4]);
        const name = f[6] ?? '';
        const at = name.lastIndexOf(' ');
        const place = at < 0 ? '' : name.slice(at + 1);
        const optimised = f[8]?.startsWith(HOT_TIER) === true;
        code.delete(start);
        code.set(start, {
          name: name.slice(0, Math.max(0, at)),
          file: place,
          start,
          end: start + Number(f[5]),
          full: name,
          optimised,
        });
        if (optimised) hot.add(name);
        break;
      }
      case 'code-move': {
        const moved = code.get(Number(f[1]));
        if (moved === undefined) break;
        code.delete(moved.start);
        const start = Number(f[2]);
        code.delete(start);
        code.set(start, { ...moved, start, end: start + moved.end - moved.start });
        break;
      }
      case 'code-deopt': {
        const place = /<([^>]*):(\d+):\d+>/.exec(line);
        deopts.push({
          us: Number(f[1]),
          file: relative(place?.[1] ?? '?', root),
          line: Number(place?.[2] ?? 0),
          kind: f[6] ?? '',
          reason: line.slice(line.lastIndexOf(',') + 1),
        });
        break;
      }
      default:
        if (f[0]?.endsWith('IC') === true && f[6] === MEGAMORPHIC) addSite(f);
    }
  }

  /** @param {string[]} f */
  function addSite(f) {
    const owner = find(Number(f[1]));
    if (owner === undefined) return;
    const file = relative(owner.file.replace(/:\d+:\d+$/, ''), root);
    const site = { fn: owner.name, file, line: Number(f[3]), column: Number(f[4]), ic: f[0] ?? '', key: f[8] ?? '' };
    sites.set(`${file}:${site.line}:${site.column}`, { ...site, hot: false, owner });
  }

  /** @param {number} pc */
  function find(pc) {
    const exact = code.get(pc);
    if (exact !== undefined) return exact;
    let newest;
    for (const one of code.values()) if (pc >= one.start && pc < one.end) newest = one;
    return newest;
  }

  // Optimised code has others inlined, and no exact place for them: it counts only where no plain code had the same site.
  const all = [...sites.values()];
  const exact = new Set(all.filter(({ owner }) => !owner.optimised).map(({ ic, key }) => `${ic} ${key}`));
  const megamorphic = all
    .filter(({ owner, ic, key }) => !owner.optimised || !exact.has(`${ic} ${key}`))
    .map(({ owner, ...site }) => ({ ...site, hot: hot.has(owner.full) }));
  return { deopts, megamorphic };
}

/** Folders of the build that a packet goes through. */
const PATH = /^(?:.*\/)?(?:wire|kern|driver|stacks|services)\//;

/** @param {string} file */
export function onPacketPath(file) {
  return PATH.test(file);
}
