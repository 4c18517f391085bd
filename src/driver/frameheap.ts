/** Frames by the time they are due, and among those by the order they came in. A binary heap. */
import type { Frame } from './frame.ts';

export class FrameHeap {
  readonly #heap: Frame[] = [];

  size(): number {
    return this.#heap.length;
  }

  /** The frame that is due first, or null. */
  peek(): Frame | null {
    return this.#heap[0] ?? null;
  }

  push(frame: Frame): void {
    const heap = this.#heap;
    let i = heap.push(frame) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const other = heap[parent] as Frame;
      if (before(other, frame)) break;
      heap[i] = other;
      i = parent;
    }
    heap[i] = frame;
  }

  pop(): Frame | null {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined) return null;
    if (heap.length > 0) this.#sink(last);
    return first;
  }

  /** Puts `frame` where the first was, and down to its place. */
  #sink(frame: Frame): void {
    const heap = this.#heap;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Frame, heap[child] as Frame)) child++;
      if (before(frame, heap[child] as Frame)) break;
      heap[i] = heap[child] as Frame;
      i = child;
    }
    heap[i] = frame;
  }
}

function before(a: Frame, b: Frame): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}
