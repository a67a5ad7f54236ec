/** Make an element with a class and a text; the text is never read as markup. */
export function make<K extends keyof HTMLElementTagNameMap>(tag: K, name = '', text = ''): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  if (name) {
    made.className = name.split(' ').map(part => `hnb-Chrome-${part}`).join(' ');
  }
  made.textContent = text;
  return made;
}

/** Make a button that says what it does when the pointer rests on it. */
export function button(name: string, text: string, title: string, click: () => void): HTMLButtonElement {
  const made = make('button', name, text);
  made.type = 'button';
  made.title = title;
  made.addEventListener('click', click);
  return made;
}

/** Make the choice of one of some words. */
export function choice(options: readonly (readonly [value: string, label: string])[], value: string): HTMLSelectElement {
  const made = make('select', 'input');
  for (const [each, label] of options) {
    made.add(new Option(label, each, false, each === value));
  }
  return made;
}

/** Do this when the signal comes, or now when it has come. */
export function atEnd(signal: AbortSignal, act: () => void): void {
  signal.aborted ? act() : signal.addEventListener('abort', act, { once: true });
}

/** The words of an error for a person. */
export function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
