import { describe, expect, it } from 'vitest';
import { LineBuffer } from '../../src/control/lines.ts';

describe('the buffer of lines', () => {
  it('gives the lines back however they were cut', () => {
    const text = Array.from({ length: 300 }, (_, i) => `${i} ${'x'.repeat((i * 37) % 101)}`);
    const bytes = Buffer.from(`${text.join('\n')}\nrest`);
    for (const step of [1, 7, 64, 1000, bytes.length]) {
      const lines = new LineBuffer();
      const got: string[] = [];
      for (let at = 0; at < bytes.length; at += step) {
        lines.push(bytes.subarray(at, at + step));
        for (let line = lines.next(); line !== null; line = lines.next()) got.push(line.toString());
      }
      expect(got).toEqual(text);
      expect(lines.length).toBe(4);
      expect(lines.hasLine).toBe(false);
    }
  });

  it('keeps a line that comes byte by byte in few pieces', () => {
    const lines = new LineBuffer();
    for (let i = 0; i < 100_000; i++) lines.push(Buffer.from([65 + (i % 26)]));
    expect(lines.pieces).toBeLessThan(20);
    lines.push(Buffer.from('\n'));
    expect(lines.next()?.length).toBe(100_000);
  });
});
