/** How the values of params are written in a field: as in YAML, where a text needs quotes only if it would be read as something else. */

export function write(value: unknown): string {
  return typeof value === 'string' && typeof read(value) === 'string' && value === value.trim() && value !== ''
    ? value
    : JSON.stringify(value);
}

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
  return values.map(value => (typeof value === 'string' && value.includes(',') ? JSON.stringify(value) : write(value))).join(', ');
}

/** Read values with commas between them. */
export function readAll(text: string): unknown[] {
  const bare = text.trim().replace(/^\[([^[\]]*)\]$/, '$1'); // written as a list of YAML
  const found: unknown[] = [];
  ITEM.lastIndex = 0;
  while (ITEM.lastIndex < bare.length) {
    const item = ITEM.exec(bare);
    if (!item) {
      return [...found, bare];
    }
    found.push(read(item[1] ?? ''));
  }
  return found;
}

/** A number where the text is one, and otherwise the text, for the kernel to judge. */
export function number(text: string): unknown {
  const bare = text.trim();
  return /^-?\d+(\.\d+)?$/.test(bare) ? Number(bare) : bare;
}
