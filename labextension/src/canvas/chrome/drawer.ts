import { LogView } from '../../card/log';
import { Shape, type IBoard, type State } from '../protocol';
import { badge } from './badge';
import { atEnd, button, choice, make, words } from './dom';
import { icon } from './icons';

const FINAL: readonly State[] = ['done', 'failed', 'cancelled', 'skipped', 'lost'];
const AGAIN = 3000; // milliseconds between two looks at the outputs

/** The log of a job below the canvas, as it is written, and beside it the files that the job made. */
export class Drawer {
  readonly node = make('section', 'drawer hidden');
  private readonly _title = make('strong', 'drawerTitle');
  private readonly _state = make('span', 'drawerState');
  private readonly _attempt = make('span', 'attempt');
  private readonly _files = make('ul', 'files');
  private readonly _error = make('div', 'drawerError');
  private _log: LogView | null = null;
  private _name = '';
  private _known: State | null = null;
  private _turn = 0; // answers to what was shown before are not for this one
  private _timer = 0;

  constructor(private readonly _board: IBoard, signal: AbortSignal) {
    const close = button('plain', '', 'Close (Escape)', () => this.close());
    close.setAttribute('aria-label', 'Close the log');
    close.append(icon('close'));
    const head = make('div', 'drawerHead');
    head.append(this._title, this._state, this._attempt, close);
    const aside = make('aside', 'outputs');
    aside.append(make('div', 'outputsHead', 'Outputs'), this._files);
    const body = make('div', 'drawerBody');
    body.append(make('div', 'logPlace'), aside);
    this.node.append(head, this._error, body);
    this._error.setAttribute('role', 'alert');
    this.node.addEventListener('keydown', event => this._key(event));
    atEnd(signal, _board.on('select', () => this._follow()));
    atEnd(signal, _board.on('states', () => this._tell()));
    atEnd(signal, _board.on('graph', () => void (this.isOpen && !_board.graph.node(this._name) && this.close())));
    atEnd(signal, () => this.close());
  }

  get isOpen(): boolean {
    return this._name !== '';
  }

  /** Show the log of a job: what it wrote to err if it failed. */
  open(name: string): void {
    if (name === this._name) {
      return;
    }
    this._name = name;
    this.node.classList.remove('hnb-Chrome-hidden');
    this._title.textContent = name;
    this.node.setAttribute('aria-label', `Log of ${name}`);
    this._attempt.replaceChildren();
    this._known = null;
    this._tell();
    this._begin(null);
    this._look(this._turn);
  }

  close(): void {
    this._turn++;
    this._name = '';
    window.clearTimeout(this._timer);
    this._log?.dispose();
    this._log = null;
    this.node.classList.add('hnb-Chrome-hidden');
  }

  /** Say how the job stands, and when that changes why. */
  private _tell(): void {
    const state = this.isOpen ? this._board.state(this._name) : this._known;
    if (state !== null && state !== this._known) {
      this._known = state;
      this._state.replaceChildren(...(state ? [badge(state), state] : []));
      if (!FINAL.includes(state)) {
        this._log?.resume(); // it was started again
      }
      void this._reason(this._name, state);
    }
  }

  private async _reason(name: string, state: State): Promise<void> {
    const told = await this._board.ask({ do: 'tip', name }).catch(() => null);
    const lines = Array.isArray(told?.['lines']) ? (told['lines'] as unknown[]) : [];
    const reason = lines.find(line => Array.isArray(line) && line[0] === 'reason') as string[] | undefined;
    if (reason && state && name === this._name && state === this._known) {
      this._state.append(` · ${reason[1]}`);
    }
  }

  /** Show one attempt; null is the last. */
  private _begin(attempt: number | null): void {
    const turn = ++this._turn;
    window.clearTimeout(this._timer);
    this._error.textContent = '';
    this._log?.dispose();
    this._log = new LogView((stream, offset) => void this._read(turn, stream, offset, attempt));
    this.node.querySelector('.hnb-Chrome-logPlace')?.replaceChildren(this._log.node);
    this._log.open(this._board.state(this._name) === 'failed' ? 'err' : 'out');
  }

  private async _read(turn: number, stream: string, offset: number, attempt: number | null): Promise<void> {
    try {
      const told = await this._board.ask({ do: 'log', name: this._name, stream, offset, ...(attempt ? { attempt } : {}) });
      if (turn === this._turn) {
        const run = typeof told['run'] === 'string' ? told['run'] : null;
        this._error.textContent = '';
        this._log?.add({ text: String(told['text'] ?? ''), next: Number(told['offset'] ?? 0), ended: told['ended'] === true, run });
        this._offer(Number(told['attempts'] ?? 0), Number(told['attempt'] ?? 0), turn);
      }
    } catch (error) {
      if (turn === this._turn) {
        this._error.textContent = words(error);
        this._log?.stop();
      }
    }
  }

  /** Let another attempt be chosen where there are several. */
  private _offer(attempts: number, attempt: number, turn: number): void {
    if (attempts < 2 || this._attempt.querySelectorAll('option').length === attempts) {
      return;
    }
    const numbers = Array.from({ length: attempts }, (_, i) => [String(i + 1), `attempt ${i + 1}`] as const);
    const select = choice(numbers, String(attempt || attempts));
    select.setAttribute('aria-label', 'Attempt');
    select.addEventListener('change', () => {
      this._begin(Number(select.value));
      this._look(this._turn);
    });
    if (turn === this._turn) {
      this._attempt.replaceChildren(select);
    }
  }

  private async _look(turn: number): Promise<void> {
    try {
      const { files } = await this._board.ask({ do: 'outputs', name: this._name });
      if (turn === this._turn) {
        this._list(Array.isArray(files) ? files : []);
      }
    } catch {
      if (turn === this._turn) {
        this._list([]); // why is said beside it, in place of the log
      }
    }
    if (turn === this._turn) {
      this._timer = window.setTimeout(() => void this._look(turn), AGAIN);
    }
  }

  private _list(files: readonly unknown[]): void {
    const lines = files.map(file => {
      const [path, size] = Array.isArray(file) ? file : [file, null];
      const line = make('li', '', String(path));
      line.title = String(path);
      if (typeof size === 'number') {
        line.append(make('span', 'size', bytes(size)));
      }
      return line;
    });
    this._files.replaceChildren(...(lines.length ? lines : [make('li', 'none', 'none')]));
  }

  /** Show the log of the job that is selected now, while it is open. */
  private _follow(): void {
    const { jobs } = this._board.selected();
    const name = jobs.length === 1 ? jobs[0] : undefined;
    if (this.isOpen && name !== undefined && name !== this._name && this._board.graph.node(name)?.shape === Shape.Job) {
      this.open(name);
    }
  }

  private _key(event: KeyboardEvent): void {
    event.stopPropagation();
    if (event.key === 'Escape') {
      this.close();
      this._board.element.focus();
    }
  }
}

/** Say a size: 1 B to 999 GB. */
function bytes(size: number): string {
  const units = ['B', 'kB', 'MB', 'GB'];
  let at = 0;
  for (; size >= 1000 && at < units.length - 1; at++) {
    size /= 1000;
  }
  return `${at && size < 10 ? size.toFixed(1) : Math.round(size)} ${units[at]}`;
}
