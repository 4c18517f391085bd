/**
 * kobj(9), typed. An interface is a list of methods, each with a default routine; a class fills some of them and may inherit; an
 * object is a class with its state (`softc`). Binding resolves every method once (own table, then the bases depth first from
 * left to right, then the default) and returns an object of plain functions, so a call after attach has no lookup.
 *
 * The types do what FreeBSD's `makeobjops.awk` does: an interface whose method has no default, or a class that names a method its
 * interface lacks, does not compile.
 */

/** The signatures of an interface, as its caller sees them. */
// A method's parameters are contravariant, so `never` is the type that every signature fits.
export type MethodTable<M> = { readonly [K in keyof M]: (...args: never[]) => unknown };

/** A method as a class writes it: the object's state comes first. */
export type WithSelf<S, F> = F extends (...args: infer A) => infer R ? (self: S, ...args: A) => R : never;

/** Routines for all of an interface's methods. */
export type Routines<S, M> = { readonly [K in keyof M]: WithSelf<S, M[K]> };

export interface KobjInterface<M extends MethodTable<M>> {
  readonly name: string;
  /** What a method does where no class fills it. The state is unknown to a default routine. */
  readonly defaults: Routines<unknown, M>;
}

export interface KobjClass<S, M extends MethodTable<M>> {
  readonly name: string;
  readonly implements: KobjInterface<M>;
  readonly methods: Partial<Routines<S, M>>;
  readonly bases: readonly KobjClass<S, M>[];
  /** The table after inheritance and defaults. Made once, when the class is defined. */
  readonly ops: Routines<S, M>;
}

export function defineInterface<M extends MethodTable<M>>(name: string, defaults: Routines<unknown, M>): KobjInterface<M> {
  return { name, defaults: Object.freeze({ ...defaults }) };
}

export interface ClassSpec<S, M extends MethodTable<M>> {
  readonly name: string;
  readonly implements: KobjInterface<M>;
  readonly methods: Partial<Routines<S, M>>;
  readonly bases?: readonly KobjClass<S, M>[];
}

/** Defines and compiles a class. */
export function defineClass<S, M extends MethodTable<M>>(spec: ClassSpec<S, M>): KobjClass<S, M> {
  const { name, methods, bases = [] } = spec;
  const ops = {} as { -readonly [K in keyof M]: WithSelf<S, M[K]> };
  for (const key of Object.keys(spec.implements.defaults) as (keyof M)[]) {
    ops[key] = lookup<S, M, typeof key>(methods, bases, key) ?? (spec.implements.defaults[key] as WithSelf<S, M[typeof key]>);
  }
  return { name, implements: spec.implements, methods, bases, ops: Object.freeze(ops) };
}

function lookup<S, M extends MethodTable<M>, K extends keyof M>(
  methods: Partial<Routines<S, M>>,
  bases: readonly KobjClass<S, M>[],
  key: K,
): WithSelf<S, M[K]> | undefined {
  const own = methods[key];
  if (own !== undefined) return own;
  for (const base of bases) {
    const inherited = lookup<S, M, K>(base.methods, base.bases, key);
    if (inherited !== undefined) return inherited;
  }
  return undefined;
}

/** Makes an object of a class: each method as a function that already holds its state. */
export function bindObject<S, M extends MethodTable<M>>(cls: KobjClass<S, M>, softc: S): M {
  const bound: Record<string, unknown> = {};
  for (const [key, routine] of Object.entries(cls.ops)) {
    bound[key] = (routine as (self: S, ...args: unknown[]) => unknown).bind(undefined, softc);
  }
  return bound as M;
}
