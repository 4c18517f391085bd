/** Descriptor table of a process (kern_descrip.c): small numbers, the lowest free one first, up to a limit. */
import type { Result } from '../errno.ts';
import type { File } from './file.ts';

export class FdTable {
  readonly #files: (File | null)[] = [];
  /** No free number is below this one. */
  #lowest = 0;
  #open = 0;

  /** EMFILE when `limit` are open. */
  canAlloc(limit: number): boolean {
    return this.#open < limit;
  }

  alloc(file: File, limit: number): Result<number> {
    if (this.#open >= limit) return 'EMFILE';
    let fd = this.#lowest;
    while (fd < this.#files.length && this.#files[fd] !== null) fd++;
    this.#files[fd] = file;
    this.#lowest = fd + 1;
    this.#open++;
    return fd;
  }

  /** Null for anything but the number of an open descriptor. */
  get(fd: number): File | null {
    return typeof fd === 'number' ? (this.#files[fd] ?? null) : null;
  }

  remove(fd: number): File | null {
    const file = this.get(fd);
    if (file === null) return null;
    this.#files[fd] = null;
    if (fd < this.#lowest) this.#lowest = fd;
    this.#open--;
    return file;
  }

  /** Removes the highest open descriptor; null: none is open. */
  pop(): File | null {
    while (this.#files.length > 0) {
      const file = this.remove(this.#files.length - 1);
      this.#files.length--;
      if (file !== null) return file;
    }
    return null;
  }

  count(): number {
    return this.#open;
  }

  /** Open descriptors with their files, lowest first. */
  entries(): [number, File][] {
    const all: [number, File][] = [];
    for (const [fd, file] of this.#files.entries()) if (file !== null) all.push([fd, file]);
    return all;
  }
}
