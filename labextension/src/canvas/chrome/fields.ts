import { button, choice, make } from './dom';
import { icon } from './icons';
import { number, read, readAll, readLine, write, writeAll, writeLine } from './values';

/** A part of the form; its value is undefined where nothing is given, and as it came where nobody wrote anything. */
export interface IField {
  readonly node: HTMLElement;
  readonly value: unknown;
}

/** One line of text. */
export function line(label: string, value: unknown, hint = '', numeric = false): IField {
  const input = make('input', 'input');
  input.value = value === undefined || value === null ? '' : Array.isArray(value) ? value.join(' ') : String(value);
  input.placeholder = hint;
  input.spellcheck = false;
  const first = input.value;
  return {
    node: labelled(label, input),
    get value() {
      const text = input.value.trim();
      return input.value === first ? value ?? undefined : text === '' ? undefined : numeric ? number(text) : text;
    }
  };
}

/** A text on each line. */
export function lines(label: string, value: unknown, hint = ''): IField {
  const input = make('textarea', 'input mono');
  const given = Array.isArray(value) ? value.map(String) : value === undefined ? [] : [String(value)];
  input.value = given.map(writeLine).join('\n');
  input.rows = Math.min(8, Math.max(2, given.length + 1));
  input.placeholder = hint;
  input.spellcheck = false;
  const first = input.value;
  return {
    node: labelled(label, input),
    get value() {
      const found = input.value.split('\n').map(text => text.trim()).filter(Boolean).map(readLine);
      return input.value === first ? value ?? undefined : found.length ? found : undefined;
    }
  };
}

/** The host of a job: one of those that are known, or the one that it has. */
export function host(value: unknown, known: readonly string[]): IField {
  const present = typeof value === 'string' ? value : 'local';
  const input = choice([...new Set(['local', ...known, present])].map(name => [name, name] as const), present);
  return {
    node: labelled('Host', input),
    get value() {
      return input.value === 'local' ? undefined : input.value;
    }
  };
}

/** Rows of some fields, which can be added and taken away. */
export function rows<T>(
  label: string,
  given: readonly T[],
  add: string,
  row: (one: T | null) => { readonly nodes: readonly HTMLElement[]; readonly read: () => T | null }
): { readonly node: HTMLElement; readonly found: T[] } {
  const node = make('fieldset', 'rows');
  const readers = new Map<HTMLElement, () => T | null>();
  const more = button('more', add, '', () => {
    const made = append(null);
    made.querySelector<HTMLElement>('input')?.focus();
  });
  const append = (one: T | null) => {
    const made = make('div', 'row');
    const { nodes, read: reader } = row(one);
    const less = button('plain', '', 'Take away', () => {
      readers.delete(made);
      made.remove();
      more.focus();
      node.dispatchEvent(new Event('change', { bubbles: true }));
    });
    less.setAttribute('aria-label', 'Take away');
    less.append(icon('close'));
    made.append(...nodes, less);
    readers.set(made, reader);
    more.before(made);
    return made;
  };
  node.append(make('legend', 'label', label), more);
  given.forEach(append);
  return {
    node,
    get found() {
      return [...readers.values()].flatMap(reader => reader() ?? []);
    }
  };
}

type Pair = [name: string, text: string];

interface IHow {
  readonly write: (value: never) => string;
  readonly read: (text: string) => unknown;
}

/** Names with a value each. */
function pairs(label: string, value: unknown, add: string, hint: string, how: IHow): IField {
  const given = Object.entries((value as Record<string, unknown> | undefined) ?? {});
  // A value that nobody touched goes back as it came.
  const texts = new Map(given.map(([name, one]) => [JSON.stringify([name, how.write(one as never)]), one]));
  const part = rows<{ pair: Pair }>(label, given.map(([name, one]) => ({ pair: [name, how.write(one as never)] })), add, one => {
    const [name, text] = [make('input', 'input'), make('input', 'input')];
    [name.value, text.value] = one?.pair ?? ['', ''];
    [name.placeholder, text.placeholder] = ['name', hint];
    name.setAttribute('aria-label', `${label}: name`);
    text.setAttribute('aria-label', `${label}: ${name.value || 'value'}`);
    name.spellcheck = text.spellcheck = false;
    return {
      nodes: [name, make('span', 'is', '='), text],
      read: () => (name.value.trim() || text.value.trim() ? { pair: [name.value.trim(), text.value] } : null)
    };
  });
  return {
    node: part.node,
    get value() {
      const found = part.found.map(({ pair: [name, text] }) => {
        const key = JSON.stringify([name, text]);
        return [name, texts.has(key) ? texts.get(key) : how.read(text)] as const;
      });
      return found.length ? Object.fromEntries(found) : undefined;
    }
  };
}

export function params(value: unknown): IField {
  return pairs('Params', value, 'Add a param', 'value', { write, read });
}

export function sweep(value: unknown): IField {
  return pairs('Sweep', value, 'Add a param with many values', '0.1, 0.01', { write: writeAll, read: readAll });
}

export function env(value: unknown): IField {
  return pairs('Environment', value, 'Add a variable', 'text', { write: String, read: text => text });
}

export function labelled(label: string, input: HTMLElement): HTMLElement {
  const made = make('label', 'field');
  made.append(make('span', 'label', label), input);
  return made;
}
