/** The package has no types of its own. */
declare module 'spdx-expression-parse' {
  export interface Licence {
    readonly license: string;
    readonly plus?: true;
    readonly exception?: string;
  }
  export interface Conjunction {
    readonly conjunction: 'and' | 'or';
    readonly left: Expression;
    readonly right: Expression;
  }
  export type Expression = Licence | Conjunction;

  /** Throws on what is no SPDX licence expression. */
  export default function parse(text: string): Expression;
}
