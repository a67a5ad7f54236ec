import { KINDS, type IBoard, type Kind } from '../protocol';
import type { Act, Actions } from './actions';
import { atEnd, button, choice, make } from './dom';
import { icon } from './icons';

const GROUPS: readonly (readonly Act[])[] = [
  ['run', 'runSelected', 'runFrom', 'retryFailed', 'cancel'],
  ['add', 'connect', 'remove', 'undo', 'redo'],
  ['tidy', 'fit', 'byHost', 'save']
];
const WORDED: ReadonlySet<Act> = new Set(['run', 'runSelected', 'runFrom', 'retryFailed', 'cancel', 'add']);
const SWITCHES: ReadonlySet<Act> = new Set(['connect', 'byHost']);

/** What the kinds of edges mean, for a person. */
export const MEANINGS: Readonly<Record<Kind, string>> = {
  ok: 'once it is done',
  any: 'once it ended, however',
  failed: 'only if it failed'
};

/** The row of buttons above the canvas. */
export class Toolbar {
  readonly node = make('div', 'toolbar');
  private readonly _buttons = new Map<Act, HTMLButtonElement>();
  private readonly _kind: HTMLSelectElement;

  constructor(private readonly _board: IBoard, private readonly _actions: Actions, signal: AbortSignal) {
    this.node.setAttribute('role', 'toolbar');
    this.node.setAttribute('aria-label', 'Workflow');
    this._kind = choice(KINDS.map(kind => [kind, MEANINGS[kind]] as const), _board.kind);
    this._kind.title = 'What the next drawn edge waits for';
    this._kind.setAttribute('aria-label', 'Kind of the next edge');
    this._kind.addEventListener('change', () => (_board.kind = this._kind.value as Kind));
    GROUPS.forEach(group => this.node.append(this._group(group)));
    this._buttons.get('connect')?.after(this._kind);
    this.node.addEventListener('keydown', event => this._walk(event));
    const update = () => this.update();
    (['graph', 'told', 'select', 'draw'] as const).forEach(event => atEnd(signal, _board.on(event, update)));
    this.update();
  }

  /** Enable what can be done now. */
  update(): void {
    for (const [act, made] of this._buttons) {
      const able = this._actions.all[act].able();
      if (!able && document.activeElement === made) {
        this._board.element.focus(); // else the keyboard would be lost
      }
      made.disabled = !able;
    }
    this._buttons.get('connect')?.setAttribute('aria-pressed', String(this._board.drawing));
    this._buttons.get('byHost')?.setAttribute('aria-pressed', String(this._board.told.by_host));
    this._kind.hidden = !this._board.drawing;
    this._kind.value = this._board.kind;
  }

  /** The arrows go from button to button. */
  private _walk(event: KeyboardEvent): void {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const enabled = [...this._buttons.values()].filter(made => !made.disabled);
    const at = enabled.indexOf(document.activeElement as HTMLButtonElement);
    if (step && at >= 0) {
      event.preventDefault();
      enabled[(at + step + enabled.length) % enabled.length]?.focus();
    }
  }

  private _group(acts: readonly Act[]): HTMLElement {
    const group = make('div', 'group');
    group.setAttribute('role', 'group');
    acts.forEach(act => group.append(this._button(act)));
    return group;
  }

  private _button(act: Act): HTMLButtonElement {
    const { label, title, icon: picture } = this._actions.all[act];
    const made = button('tool', '', title, () => this._actions.act(act));
    made.setAttribute('aria-label', label);
    made.append(icon(picture));
    if (WORDED.has(act)) {
      made.append(make('span', 'word', label));
    }
    if (SWITCHES.has(act)) {
      made.setAttribute('aria-pressed', 'false');
    }
    made.addEventListener('mousedown', event => event.preventDefault()); // the canvas keeps the keyboard
    this._buttons.set(act, made);
    return made;
  }
}
