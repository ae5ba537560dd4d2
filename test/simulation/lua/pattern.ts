import { LuaError } from './values.ts';

const classes: Readonly<Record<string, string>> = {
  s: '\\s',
  S: '\\S',
  d: '\\d',
  D: '\\D',
  a: '[A-Za-z]',
  w: '[A-Za-z0-9]',
  x: '[0-9A-Fa-f]',
};

const compiled = new Map<string, RegExp>();

/** A Lua pattern as a regular expression. Sets, anchors, `%b` and `%f` are not supported. */
export function compilePattern(pattern: string): RegExp {
  const known = compiled.get(pattern);
  if (known !== undefined) return known;
  let source = '';
  for (let at = 0; at < pattern.length; at += 1) {
    const character = pattern.charAt(at);
    if (character === '%') {
      at += 1;
      source += classes[pattern.charAt(at)] ?? escaped(pattern.charAt(at));
    } else if (character === '-') {
      source += '*?';
    } else if ('()+*?.'.includes(character)) {
      source += character;
    } else if ('[]^$'.includes(character)) {
      throw new LuaError(`the pattern ${pattern} is not supported`);
    } else {
      source += escaped(character);
    }
  }
  const expression = new RegExp(source, 'gs');
  compiled.set(pattern, expression);
  return expression;
}

function escaped(character: string): string {
  if (/[A-Za-z]/.test(character) && character.length === 1) return character;
  return character.replaceAll(/[^\w\s]/g, String.raw`\$&`);
}
