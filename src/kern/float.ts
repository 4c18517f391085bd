/**
 * Counters of bytes pass 2^31 in seconds. A field that has held only small integers changes its representation then, its object its hidden
 * class, and all compiled code that knows the class is thrown away in the middle of the work. A field whose first value is no integer
 * holds a float from the start: such a counter is declared with this value, and set to 0 by the constructor.
 */
export const FLOAT = 0.5;
