/** A loader that knows where the stand-in for the package is. */
export function resolve(specifier, context, next) {
  if (specifier !== 'tuntap2') return next(specifier, context);
  return { url: new URL('./tuntap2/tap.ts', import.meta.url).href, shortCircuit: true };
}
