import type { IBoard } from '../protocol';
import { atEnd, button, choice, make, words } from './dom';
import { labelled } from './fields';
import { script, type IScript } from './script';

/** The small dialog that adds a job after the selected ones. */
export class Add {
  readonly node = make('section', 'add hidden');
  private readonly _name = make('input', 'input');
  private readonly _after = make('input', 'input');
  private readonly _host = make('div');
  private readonly _text = make('div', 'field');
  private readonly _says = make('div', 'formSays');
  private readonly _save = button('main', 'Add', 'Add (Ctrl+Enter)', () => void this._keep());
  private _script: IScript | null = null;
  private _place: readonly [number, number] | null = null;

  constructor(private readonly _board: IBoard, signal: AbortSignal) {
    atEnd(signal, () => this._script?.dispose());
    this.node.setAttribute('role', 'dialog');
    this.node.setAttribute('aria-label', 'Add a job');
    this._says.setAttribute('role', 'alert');
    this._name.spellcheck = this._after.spellcheck = false;
    this._after.placeholder = 'nothing';
    const foot = make('div', 'formFoot');
    foot.append(this._says, this._save, button('second', 'Close', 'Close (Escape)', () => this.close()));
    const grid = make('div', 'grid');
    grid.append(labelled('Name', this._name), this._host);
    this.node.append(grid, labelled('After', this._after), this._text, foot);
    this.node.addEventListener('keydown', event => this._key(event));
  }

  get isOpen(): boolean {
    return !this.node.classList.contains('hnb-Chrome-hidden');
  }

  /** Open it for a job at this place of the graph, or where the layout puts it. */
  open(place: readonly [number, number] | null): void {
    const { graph } = this._board;
    this._place = place;
    this._after.value = this._board.selected().jobs.join(', ');
    const hosts = choice([...new Set(['local', ...graph.hosts])].map(name => [name, name] as const), 'local');
    this._host.replaceChildren(labelled('Host', hosts));
    this._script ??= script('', 'Script', () => undefined);
    this._text.replaceChildren(make('span', 'label', 'Script'), this._script.node);
    this._says.textContent = '';
    this.node.classList.remove('hnb-Chrome-hidden');
    this._name.focus({ preventScroll: true });
    void this._offer(hosts);
  }

  close(): void {
    const focused = this.node.contains(document.activeElement);
    this.node.classList.add('hnb-Chrome-hidden');
    if (focused) {
      this._board.element.focus();
    }
  }

  /** Offer all hosts that the kernel knows, not only those in use: it tells them with any job. */
  private async _offer(hosts: HTMLSelectElement): Promise<void> {
    const any = this._board.graph.nodes.find(node => node.shape !== 2);
    const told = any ? await this._board.ask({ do: 'form', name: any.name }).catch(() => null) : null;
    const known = new Set([...hosts.options].map(option => option.value));
    for (const name of Array.isArray(told?.['hosts']) ? told['hosts'].map(String) : []) {
      if (!known.has(name)) {
        hosts.add(new Option(name));
      }
    }
  }

  private async _keep(): Promise<void> {
    if (this._save.hasAttribute('aria-disabled')) {
      return;
    }
    const after = this._after.value.split(/[\s,]+/).filter(Boolean);
    const name = this._name.value.trim();
    this._save.setAttribute('aria-disabled', 'true'); // and keeps the focus
    try {
      await this._board.ask({
        do: 'add',
        name,
        host: this.node.querySelector('select')?.value ?? 'local',
        script: this._script?.text ?? '',
        ...(after.length ? { after } : {}),
        ...(this._place ? { place: this._place } : {})
      });
      this._board.select([name]);
      this._name.value = '';
      if (this._script) {
        this._script.text = '';
      }
      this.close();
    } catch (error) {
      this._says.textContent = words(error);
    } finally {
      this._save.removeAttribute('aria-disabled');
    }
  }

  private _key(event: KeyboardEvent): void {
    event.stopPropagation();
    if (event.key === 'Escape' && !event.defaultPrevented) {
      event.preventDefault();
      this.close();
    } else if (event.key === 'Enter' && (event.ctrlKey || event.metaKey || event.target instanceof HTMLInputElement)) {
      event.preventDefault();
      void this._keep();
    }
  }
}
