/** Write the value of a param: as in YAML, a text has quotes only if it would be read as something else. */
export function write(value: unknown): string {
  return typeof value === 'string' && value !== '' && read(value) === value ? value : JSON.stringify(value);
}

/** Read the value of a param. */
export function read(text: string): unknown {
  const bare = text.trim();
  try {
    return JSON.parse(bare) as unknown;
  } catch {
    return bare;
  }
}

const ITEM = /\s*("(?:[^"\\]|\\.)*"|\[[^\]]*\]|\{[^}]*\}|[^,]*)\s*(?:,|$)/y;

/** Write several values, with commas between them. */
export function writeAll(values: readonly unknown[]): string {
  if (values.length === 1 && Array.isArray(values[0])) {
    return JSON.stringify(values); // else its items would be taken for the values
  }
  return values.map(value => (typeof value === 'string' && value.includes(',') ? JSON.stringify(value) : write(value))).join(', ');
}

/** Read values with commas between them. */
export function readAll(text: string): unknown[] {
  const whole = read(text);
  if (Array.isArray(whole)) {
    return whole as unknown[];
  }
  const bare = text.trim().replace(/^\[([^[\]]*)\]$/, '$1'); // as YAML writes a list
  const found: unknown[] = [];
  ITEM.lastIndex = 0;
  while (ITEM.lastIndex < bare.length) {
    const item = ITEM.exec(bare);
    if (!item) {
      return [...found, bare];
    }
    found.push(...(item[1]?.trim() ? [read(item[1])] : []));
  }
  return found;
}

/** A number where the text is one, and otherwise the text, for the kernel to judge. */
export function number(text: string): unknown {
  const bare = text.trim();
  return /^-?\d+(\.\d+)?$/.test(bare) ? Number(bare) : bare;
}

/** Write a text on a line of its own, in quotes if it would not be read as it is: with several lines, for instance. */
export function writeLine(text: string): string {
  return text !== '' && text === text.trim() && !/\n|\r|^"/.test(text) ? text : JSON.stringify(text);
}

/** Read what is written on a line. */
export function readLine(text: string): string {
  const told = text.startsWith('"') ? read(text) : text;
  return typeof told === 'string' ? told : text;
}
