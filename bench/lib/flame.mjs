// @ts-check
/** A flame graph as SVG from a V8 CPU profile: width is time, a box stands on its caller, colours are folders. */

/**
 * @typedef {{ functionName: string, url: string, lineNumber: number }} CallFrame
 * @typedef {{ id: number, callFrame: CallFrame, children?: number[] }} ProfileNode
 * @typedef {{ nodes: ProfileNode[], samples: number[], timeDeltas: number[] }} Profile
 * @typedef {{ name: string, file: string, self: number, total: number, children: Map<string, Frame> }} Frame
 */

const WIDTH = 1200;
const ROW = 17;
const TOP = 46;
const CHAR = 6.6;
/** Narrower boxes are left out. */
const LEAST_PX = 0.6;

/** Folder of the sources, and its colour. */
const COLOURS = [
  ['native: system calls, copies', '#d9a25f'],
  ['stacks', '#7fb2e5'],
  ['kern', '#8fcf9f'],
  ['driver', '#c9a8e0'],
  ['services', '#e8c766'],
  ['wire', '#f0a3b4'],
  ['garbage collector', '#e0705f'],
  ['node', '#c8c8c8'],
];

/** V8 counts native code as its caller's own time: here, what the addon does while `flush` waits for it, which is to write frames. */
const WRITES = 'addon: write frames';

/** @param {CallFrame} frame */
function callsAddon({ functionName, url }) {
  return functionName === 'flush' && url.includes('/driver/tap/');
}

/** @param {CallFrame} frame */
function folderOf({ functionName, url }) {
  if (functionName === '(program)') return 'native: system calls, copies';
  if (functionName === '(garbage collector)') return 'garbage collector';
  const match = /\/(?:dist|src)\/(stacks|kern|driver|services|wire|node|control|boot)\b/.exec(url);
  if (match !== null) return match[1] === 'control' || match[1] === 'boot' ? 'node' : /** @type {string} */ (match[1]);
  return url === '' && !functionName.startsWith('(') ? 'native: system calls, copies' : 'node';
}

/** @param {CallFrame} frame */
function nameOf({ functionName }) {
  if (functionName === '(program)') return 'outside JavaScript: read frames, poll';
  return functionName || '(anonymous)';
}

/** @param {string} name @param {string} file its folder and its place, with a tab between @returns {Frame} */
function makeFrame(name, file) {
  return { name, file, self: 0, total: 0, children: new Map() };
}

/** Time per call path in microseconds; the idle time is left out. @param {Profile} profile @returns {Frame} */
export function foldProfile({ nodes, samples, timeDeltas }) {
  /** @type {Map<number, ProfileNode>} */
  const byId = new Map(nodes.map((node) => [node.id, node]));
  /** @type {Map<number, number>} */
  const parent = new Map();
  for (const { id, children = [] } of nodes) for (const child of children) parent.set(child, id);
  /** @type {Map<number, number>} */
  const selfUs = new Map();
  samples.forEach((id, i) => selfUs.set(id, (selfUs.get(id) ?? 0) + (timeDeltas[i] ?? 0)));
  const root = makeFrame('all', '');
  for (const [id, us] of selfUs) {
    const path = [];
    for (let at = byId.get(id); at !== undefined; at = byId.get(parent.get(at.id) ?? -1)) path.unshift(at.callFrame);
    if (path.at(-1)?.functionName === '(idle)') continue;
    root.total += us;
    let frame = root;
    for (const call of path.slice(1)) {
      const place =
        call.url === ''
          ? ''
          : `${call.url.replace(/^file:.*\/(?:dist|src|node_modules)\//, '').replace(/^file:.*\//, '')}:${call.lineNumber + 1}`;
      const key = `${call.functionName} ${place}`;
      let next = frame.children.get(key);
      if (next === undefined) {
        next = makeFrame(nameOf(call), `${folderOf(call)}\t${place}`);
        frame.children.set(key, next);
      }
      next.total += us;
      frame = next;
    }
    const last = path.at(-1);
    if (last !== undefined && callsAddon(last)) {
      let addon = frame.children.get(WRITES);
      if (addon === undefined) {
        addon = makeFrame(WRITES, 'native: system calls, copies\t');
        frame.children.set(WRITES, addon);
      }
      addon.total += us;
      addon.self += us;
    } else frame.self += us;
  }
  return root;
}

/** Share of the busy time by folder, largest first. @param {Frame} root @returns {[string, number][]} */
export function shares(root) {
  /** @type {Map<string, number>} */
  const sums = new Map();
  const visit = (/** @type {Frame} */ frame) => {
    const folder = frame.file.split('\t')[0] || 'node';
    sums.set(folder, (sums.get(folder) ?? 0) + frame.self);
    for (const child of frame.children.values()) visit(child);
  };
  visit(root);
  return [...sums]
    .map(([name, us]) => /** @type {[string, number]} */ ([name, root.total > 0 ? us / root.total : 0]))
    .sort((a, b) => b[1] - a[1]);
}

/** @param {string} text */
function escape(text) {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}

/** @param {Frame} root @param {string} title @returns {string} */
export function flameSvg(root, title) {
  /** @type {string[]} */
  const boxes = [];
  let deepest = 0;
  const scale = root.total > 0 ? WIDTH / root.total : 0;
  const draw = (/** @type {Frame} */ frame, /** @type {number} */ x, /** @type {number} */ depth) => {
    const width = frame.total * scale;
    if (width < LEAST_PX) return;
    deepest = Math.max(deepest, depth);
    boxes.push(box(frame, x, depth, width, root.total));
    let at = x;
    for (const child of [...frame.children.values()].sort((a, b) => b.total - a.total)) {
      draw(child, at, depth + 1);
      at += child.total * scale;
    }
  };
  draw(root, 0, 0);
  const height = TOP + (deepest + 1) * ROW + 8;
  let x = 0;
  const legend = COLOURS.map(([name = '', colour = '']) => {
    const text = `<rect x="${x}" y="24" width="10" height="10" fill="${colour}"/><text x="${x + 14}" y="33">${name}</text>`;
    x += 30 + name.length * CHAR;
    return text;
  }).join('');
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="monospace" font-size="11">`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/><text x="4" y="15" font-size="13">${escape(title)}</text>${legend}`,
    ...boxes,
    '</svg>\n',
  ].join('\n');
}

/** @param {Frame} frame @param {number} x @param {number} depth @param {number} width @param {number} total */
function box(frame, x, depth, width, total) {
  const [folder = '', place = ''] = frame.file.split('\t');
  const colour = COLOURS.find(([name]) => name === folder)?.[1] ?? '#ddd';
  const y = TOP + depth * ROW;
  const share = ((100 * frame.total) / total).toFixed(1);
  const fits = Math.floor((width - 4) / CHAR);
  const label = fits < 3 ? '' : `<text x="${(x + 2).toFixed(1)}" y="${y + 12}">${escape(frame.name.slice(0, fits))}</text>`;
  const rect = `<rect x="${x.toFixed(1)}" y="${y}" width="${Math.max(0.4, width - 0.4).toFixed(1)}" height="${ROW - 1}" fill="${colour}"/>`;
  return `<g><title>${escape(`${frame.name} ${place} ${share} %`)}</title>${rect}${label}</g>`;
}
