import { make } from './dom';

/** A line of a menu; without words it parts what is above from what is below. */
export interface IItem {
  readonly label: string;
  readonly act?: () => unknown;
  /** It is one of several, and this is the present one. */
  readonly checked?: boolean;
  readonly danger?: boolean;
}

/** A small menu at the pointer, which the keyboard walks through. */
export class Menu {
  private _node: HTMLElement | null = null;
  private _back: HTMLElement | null = null;
  private _end = new AbortController();

  /** Open it at this place of the window, in pixels; the focus goes `back` when it closes. */
  open(label: string, items: readonly IItem[], x: number, y: number, back: HTMLElement): void {
    this.close();
    this._back = back;
    const node = (this._node = make('div', 'menu'));
    node.setAttribute('role', 'menu');
    node.setAttribute('aria-label', label);
    node.tabIndex = -1;
    node.dataset['lmSuppressShortcuts'] = 'true';
    items.forEach(item => node.append(this._item(item)));
    document.body.append(node);
    const { width, height } = node.getBoundingClientRect();
    node.style.left = `${Math.max(4, Math.min(x, window.innerWidth - width - 4))}px`;
    node.style.top = `${Math.max(4, y + height > window.innerHeight - 4 ? y - height : y)}px`;
    this._listen(node);
    this._lines[0]?.focus();
  }

  close(): void {
    const node = this._node;
    this._node = null;
    this._end.abort();
    if (node) {
      const focused = node.contains(document.activeElement);
      node.remove();
      if (focused) {
        this._back?.focus({ preventScroll: true });
      }
    }
  }

  private get _lines(): HTMLElement[] {
    return [...(this._node?.querySelectorAll<HTMLElement>('[role^=menuitem]') ?? [])];
  }

  private _item(item: IItem): HTMLElement {
    const { label, act, checked, danger } = item;
    if (!act) {
      const made = make('div', label ? 'menuHead' : 'menuLine', label);
      made.setAttribute('role', label ? 'presentation' : 'separator');
      return made;
    }
    const made = make('div', danger ? 'menuItem danger' : 'menuItem', label);
    made.setAttribute('role', checked === undefined ? 'menuitem' : 'menuitemradio');
    if (checked !== undefined) {
      made.setAttribute('aria-checked', String(checked));
    }
    made.tabIndex = -1;
    const choose = () => {
      this.close();
      act();
    };
    made.addEventListener('click', choose);
    made.addEventListener('pointermove', () => made.focus());
    made.addEventListener('keydown', event => {
      if (event.key === 'Enter' || event.key === ' ') {
        event.preventDefault();
        choose();
      }
    });
    return made;
  }

  private _listen(node: HTMLElement): void {
    this._end = new AbortController();
    const { signal } = this._end;
    node.addEventListener('keydown', event => this._key(event), { signal });
    node.addEventListener('contextmenu', event => event.preventDefault(), { signal });
    const elsewhere = (event: Event) => {
      if (!(event.target instanceof Node && node.contains(event.target))) {
        this.close();
      }
    };
    for (const type of ['pointerdown', 'wheel', 'focusin']) {
      window.addEventListener(type, elsewhere, { signal, capture: true });
    }
    window.addEventListener('blur', () => this.close(), { signal });
  }

  private _key(event: KeyboardEvent): void {
    event.stopPropagation();
    const lines = this._lines;
    const at = lines.indexOf(document.activeElement as HTMLElement);
    const goes: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: lines.length - 1 };
    const to = goes[event.key];
    if (to !== undefined) {
      event.preventDefault();
      lines[(to + lines.length) % lines.length]?.focus();
    } else if (event.key === 'Escape' || event.key === 'Tab') {
      event.preventDefault();
      this.close();
    } else if (event.key.length === 1 && /\S/.test(event.key)) {
      const next = [...lines.slice(at + 1), ...lines.slice(0, at + 1)];
      next.find(line => line.textContent?.toLowerCase().startsWith(event.key.toLowerCase()))?.focus();
    }
  }
}
