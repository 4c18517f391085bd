/** What somebody meant who wrote a word that does not exist: the nearest by edit distance (Levenshtein). */
import { distance } from 'fastest-levenshtein';

const letters = (word: string): string => [...word].sort().join('');

/** Letters to change; two that changed places count as one. */
function mistakes(a: string, b: string): number {
  const steps = distance(a, b);
  return steps === 2 && letters(a) === letters(b) ? 1 : steps;
}

/** The nearest of `words`; null where none is near enough to be worth a question. */
export function nearest(word: string, words: Iterable<string>): string | null {
  let best: string | null = null;
  // A third of the letters may be wrong: at least two, at most four.
  let least = Math.min(4, Math.max(2, Math.ceil(word.length / 3))) + 1;
  for (const candidate of words) {
    const steps = mistakes(word.toLowerCase(), candidate.toLowerCase());
    // All letters wrong is another word, however short it is.
    if (steps < least && steps < Math.max(word.length, candidate.length)) {
      best = candidate;
      least = steps;
    }
  }
  return best;
}

/** `unknown verb 'lst'; did you mean 'list'?`, or what there is where nothing is near. */
export function unknown(what: string, word: string, words: readonly string[]): string {
  const near = nearest(word, words);
  return `unknown ${what} '${word}'; ${near === null ? `there are ${words.join(' ')}` : `did you mean '${near}'?`}`;
}
