import { make } from './dom';

/** A place to write a script in. */
export interface IScript {
  readonly node: HTMLElement;
  text: string;
  dispose(): void;
}

/** Makes such a place; `changed` is called at each change by a person. */
export type Scribe = (text: string, label: string, changed: () => void) => IScript;

let scribe: Scribe = (text, label, changed) => {
  const node = make('textarea', 'input mono');
  node.rows = 10;
  node.spellcheck = false;
  node.wrap = 'off';
  node.value = text;
  node.setAttribute('aria-label', label);
  node.addEventListener('input', changed);
  return {
    node,
    get text() {
      return node.value;
    },
    set text(value: string) {
      node.value = value;
    },
    dispose: () => undefined
  };
};

/** Have scripts written in another editor than a plain field. */
export function useScribe(other: Scribe): void {
  scribe = other;
}

/** Make the editor of a script. */
export function script(text: string, label: string, changed: () => void): IScript {
  return scribe(text, label, changed);
}

const ENDINGS: readonly (readonly [RegExp, string])[] = [
  [/^python/, 'py'],
  [/^Rscript|^R$/, 'r'],
  [/^julia/, 'jl'],
  [/^perl/, 'pl'],
  [/^node/, 'js'],
  [/^ruby/, 'rb']
];

/** The ending of a file with this script, by its first line; a shell's unless it says otherwise. */
export function ending(text: string): string {
  const words = /^#!(.*)/.exec(text)?.[1]?.trim().split(/\s+/) ?? [];
  const program = words.map(word => word.split('/').pop() ?? '').find(word => !/^env$|^-|=/.test(word)) ?? '';
  return ENDINGS.find(([known]) => known.test(program))?.[1] ?? 'sh';
}
