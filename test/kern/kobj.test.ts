import { describe, expect, expectTypeOf, it } from 'vitest';
import { bindObject, defineClass, defineInterface } from '../../src/kern/kobj.ts';

interface Shape {
  area(): number;
  name(): string;
  grow(by: number): number;
}

const shape = defineInterface<Shape>('shape', { area: () => -1, name: () => 'nameless', grow: (_self, by) => -by });

interface Softc {
  size: number;
}

describe('kobj', () => {
  it('answers a method that no class fills by its default', () => {
    const object = bindObject(defineClass<Softc, Shape>({ name: 'empty', implements: shape, methods: {} }), { size: 3 });
    expect([object.area(), object.name(), object.grow(2)]).toEqual([-1, 'nameless', -2]);
  });

  it('gives each object its own state', () => {
    const square = defineClass<Softc, Shape>({
      name: 'square',
      implements: shape,
      methods: { area: (self) => self.size ** 2, grow: (self, by) => (self.size += by) },
    });
    const a = bindObject(square, { size: 2 });
    const b = bindObject(square, { size: 5 });
    a.grow(1);
    expect([a.area(), b.area()]).toEqual([9, 25]);
  });

  it('looks through the bases depth first, from left to right, and finds its own first', () => {
    const make = (
      name: string,
      methods: Partial<Record<keyof Shape, true>>,
      bases: ReturnType<typeof defineClass<Softc, Shape>>[] = [],
    ) =>
      defineClass<Softc, Shape>({
        name,
        implements: shape,
        methods: {
          ...(methods.name && { name: () => name }),
          ...(methods.area && { area: () => name.length }),
          ...(methods.grow && { grow: () => 0 }),
        },
        bases,
      });
    const grandparent = make('grandparent', { name: true, area: true });
    const left = make('left', {}, [grandparent]);
    const right = make('righ', { name: true, area: true, grow: true });
    const child = bindObject(make('child', {}, [left, right]), { size: 1 });
    // The left base's own base comes before the right base.
    expect(child.name()).toBe('grandparent');
    expect(child.area()).toBe('grandparent'.length);
    expect(child.grow(1)).toBe(0);
    expect(bindObject(make('own', { name: true }, [left, right]), { size: 1 }).name()).toBe('own');
  });

  it('takes an inherited method before the default of the interface', () => {
    const base = defineClass<Softc, Shape>({ name: 'base', implements: shape, methods: { area: () => 7 } });
    const derived = defineClass<Softc, Shape>({ name: 'derived', implements: shape, methods: {}, bases: [base] });
    expect(bindObject(derived, { size: 0 }).area()).toBe(7);
  });

  it('keeps the compiled class as it was when tables change later', () => {
    const methods: { area?: (self: Softc) => number } = { area: () => 1 };
    const cls = defineClass<Softc, Shape>({ name: 'late', implements: shape, methods });
    methods.area = () => 2;
    expect(bindObject(cls, { size: 0 }).area()).toBe(1);
    expect(Object.isFrozen(cls.ops)).toBe(true);
  });

  it('binds to plain functions: own properties that need no receiver', () => {
    const object = bindObject(
      defineClass<Softc, Shape>({ name: 'p', implements: shape, methods: { area: (self) => self.size } }),
      {
        size: 4,
      },
    );
    for (const key of ['area', 'name', 'grow'] as const) {
      expect(Object.hasOwn(object, key)).toBe(true);
      expect(typeof object[key]).toBe('function');
    }
    const { area } = object;
    expect(area()).toBe(4);
  });

  it('does not compile without a default, or with a method that the interface lacks', () => {
    // @ts-expect-error `grow` has no default
    defineInterface<Shape>('bad', { area: () => 0, name: () => '' });
    // @ts-expect-error a default of the wrong type
    defineInterface<Shape>('bad', { area: () => 'x', name: () => '', grow: () => 0 });
    // @ts-expect-error the interface has no `colour`
    defineClass<Softc, Shape>({ name: 'bad', implements: shape, methods: { colour: () => 'red' } });
    // @ts-expect-error the wrong result
    defineClass<Softc, Shape>({ name: 'bad', implements: shape, methods: { area: () => 'big' } });
    expectTypeOf(
      bindObject(defineClass<Softc, Shape>({ name: 'c', implements: shape, methods: {} }), { size: 0 }),
    ).toEqualTypeOf<Shape>();
  });
});
