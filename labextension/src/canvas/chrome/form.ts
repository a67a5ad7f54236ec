import type { IBoard } from '../protocol';
import { atEnd, button, make, words } from './dom';
import { groupOf } from './groups';
import { icon } from './icons';
import { Sheet, type ITold, type Mapping } from './sheet';

/** The side form of a job. What is written in it stays until it is saved or discarded, whatever happens around it. */
export class Form {
  readonly node = make('section', 'form hidden');
  private readonly _title = make('strong', 'formTitle');
  private readonly _cell = make('div', 'formCell');
  private readonly _place = make('div', 'formBody');
  private readonly _says = make('div', 'formSays');
  private readonly _save: HTMLButtonElement;
  private readonly _discard: HTMLButtonElement;
  private readonly _drafts = new Map<string, Sheet>();
  private _sheet: Sheet | null = null;
  private _saving = false;
  private _gone = false; // does it say that the job is not there any more?
  private _turn = 0;

  constructor(private readonly _board: IBoard, signal: AbortSignal) {
    const close = button('plain', '', 'Close (Escape)', () => this.close());
    close.setAttribute('aria-label', 'Close the form');
    close.append(icon('close'));
    const head = make('div', 'formHead');
    head.append(this._title, close);
    this._save = button('main', 'Save', 'Save (Ctrl+Enter)', () => void this._keep());
    this._discard = button('second', 'Discard', 'Show again what the file says', () => this._drop());
    this._says.setAttribute('role', 'alert');
    const foot = make('div', 'formFoot');
    foot.append(this._says, this._save, this._discard);
    this.node.append(head, this._cell, this._place, foot);
    this.node.tabIndex = -1; // takes the focus of what goes
    this.node.addEventListener('keydown', event => this._key(event));
    atEnd(signal, _board.on('graph', () => void this._renew()));
    atEnd(signal, () => [this._sheet, ...this._drafts.values()].forEach(sheet => sheet?.dispose()));
  }

  get isOpen(): boolean {
    return !this.node.classList.contains('hnb-Chrome-hidden');
  }

  /** Show a job; what was begun on it before and not saved is there again. For one of a sweep the sweep is shown. */
  async open(job: string): Promise<void> {
    const turn = ++this._turn;
    try {
      const [name, told] = await this._find(job);
      if (turn === this._turn) {
        const begun = this._sheet?.name === name && this._sheet.changed ? this._sheet : this._drafts.get(name);
        this._show(begun ?? new Sheet(name, told, () => this._update()));
        this._cell.textContent = cellWords(told.cell);
        this._place.scrollTop = 0;
        this._place.querySelector<HTMLElement>('input')?.focus({ preventScroll: true });
      }
    } catch (error) {
      this._board.emit('said', words(error));
    }
  }

  /** Close it; what is not saved is kept for the next time. */
  close(): void {
    this._turn++;
    this._keepDraft();
    const focused = this.node.contains(document.activeElement);
    this.node.classList.add('hnb-Chrome-hidden');
    if (focused) {
      this._board.element.focus();
    }
  }

  private async _find(job: string): Promise<[string, ITold & { cell: string }]> {
    const group = groupOf(this._board, job);
    try {
      return [job, await this._ask(job)];
    } catch (error) {
      if (group === null) {
        throw error;
      }
      return [group, await this._ask(group)];
    }
  }

  private async _ask(name: string): Promise<ITold & { cell: string }> {
    const answer = await this._board.ask({ do: 'form', name });
    const list = (value: unknown) => (Array.isArray(value) ? value.map(String) : []);
    const job = (answer['job'] ?? {}) as Mapping;
    return { job, hosts: list(answer['hosts']), jobs: list(answer['jobs']), cell: String(answer['cell'] ?? '') };
  }

  private _show(sheet: Sheet): void {
    if (sheet !== this._sheet) {
      this._keepDraft();
    }
    this._drafts.delete(sheet.name);
    this._sheet = sheet;
    this._title.textContent = sheet.name;
    this.node.setAttribute('aria-label', `Job ${sheet.name}`);
    this._place.replaceChildren(sheet.node);
    this.node.classList.remove('hnb-Chrome-hidden');
    this._say('');
    this._update();
  }

  private _keepDraft(): void {
    const sheet = this._sheet;
    this._sheet = null;
    if (sheet?.changed) {
      this._drafts.set(sheet.name, sheet);
      this._board.emit('said', `Unsaved changes of '${sheet.name}' are kept: open it again to save or discard them.`);
    } else {
      sheet?.dispose();
    }
  }

  private _update(): void {
    const changed = this._sheet?.changed ?? false;
    this._save.disabled = !changed || this._saving;
    this._discard.hidden = !changed;
    this._title.classList.toggle('hnb-Chrome-unsaved', changed);
  }

  /** Say something: an error unless it is good news. */
  private _say(text: string, good = false): void {
    this._gone = false;
    this._says.textContent = text;
    this._says.classList.toggle('hnb-Chrome-good', good);
  }

  /** Save all of it, or nothing: what is refused stays written here. */
  private async _keep(): Promise<void> {
    const sheet = this._sheet;
    if (!sheet?.changed || this._saving) {
      return;
    }
    const focused = this.node.contains(document.activeElement);
    this._saving = true;
    this._update();
    try {
      await this._board.ask({ do: 'edit', name: sheet.name, job: sheet.job, was: sheet.told.job, new: sheet.wished || sheet.name });
      await this._reload(sheet, sheet.wished || sheet.name);
      this._drafts.get(sheet.name) === sheet ? this._forget(sheet) : this._say('Saved', true);
    } catch (error) {
      this._sheet === sheet ? this._say(words(error)) : this._board.emit('said', words(error));
    } finally {
      this._saving = false;
      this._update();
      if (focused && !this.node.contains(document.activeElement)) {
        this.node.focus({ preventScroll: true });
      }
    }
  }

  /** Keep what was closed while it was being saved no longer. */
  private _forget(sheet: Sheet): void {
    this._drafts.delete(sheet.name);
    sheet.dispose();
    this._board.emit('said', '');
  }

  private _drop(): void {
    const sheet = this._sheet;
    if (sheet) {
      this._reload(sheet, sheet.name).catch(error => this._say(words(error)));
    }
  }

  /** Show the job as the file has it now, if it is still the one that is shown. */
  private async _reload(sheet: Sheet, name: string): Promise<void> {
    const told = await this._ask(name);
    if (this._sheet === sheet) {
      const [scrolled, open] = [this._place.scrollTop, [...sheet.node.querySelectorAll('details')].map(part => part.open)];
      sheet.dispose();
      this._sheet = null;
      this._show(new Sheet(name, told, () => this._update()));
      this._cell.textContent = cellWords(told.cell);
      this._place.querySelectorAll('details').forEach((part, i) => (part.open = open[i] ?? part.open));
      this._place.scrollTop = scrolled;
    }
  }

  /** After an edit elsewhere: show it, unless somebody writes here. */
  private async _renew(): Promise<void> {
    const sheet = this._sheet;
    if (!sheet || this._saving || !this.isOpen) {
      return;
    }
    const { graph } = this._board;
    if (!graph.node(sheet.name) && !graph.groups.includes(sheet.name)) {
      this._say(`'${sheet.name}' is not in the workflow any more.`);
      this._gone = true;
      return;
    }
    if (this._gone) {
      this._say(''); // it is there again
    }
    if (!sheet.changed && !this.node.contains(document.activeElement)) {
      const told = await this._ask(sheet.name).catch(() => null);
      if (told && this._sheet === sheet && !sheet.changed && JSON.stringify(told.job) !== JSON.stringify(sheet.told.job)) {
        await this._reload(sheet, sheet.name).catch(() => undefined);
      }
    }
  }

  private _key(event: KeyboardEvent): void {
    event.stopPropagation();
    if (event.key === 'Escape' && !event.defaultPrevented) {
      event.preventDefault();
      this.close();
    } else if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      void this._keep();
    }
  }
}

function cellWords(cell: string): string {
  return cell ? `Recorded by ${cell}. What you save here changes the file and stays when that cell runs again, but for the name that it gives.` : '';
}
