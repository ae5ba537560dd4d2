/** Content negotiation; the package comes without types. What is used of it. */
declare module 'negotiator' {
  export default class Negotiator {
    constructor(request: { readonly headers: { readonly 'accept-encoding'?: string | undefined } });
    /** Those of `available` that are acceptable, best first; of equal ones that which comes first in `preferred`. */
    encodings(available: readonly string[], options: { readonly preferred: readonly string[] }): string[];
  }
}
