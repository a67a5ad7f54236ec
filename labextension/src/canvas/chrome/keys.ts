import type { IBoard } from '../protocol';
import type { Act, Actions } from './actions';

/** Saves the notebook, from the canvas too; all other keys are kept from JupyterLab there. */
const SAVE = (event: KeyboardEvent): boolean => (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 's';

/** What keys do while the canvas has the focus. */
export class Keys {
  constructor(
    private readonly _board: IBoard,
    private readonly _actions: Actions,
    private readonly _escape: () => void,
    signal: AbortSignal
  ) {
    const { element } = _board;
    element.dataset['lmSuppressShortcuts'] = 'true';
    window.addEventListener('keydown', event => this._let(event), { signal, capture: true }); // before JupyterLab looks
    element.addEventListener('keydown', event => this._press(event), { signal });
    // Cytoscape takes the focus from whatever has it; here it is done with that.
    element.addEventListener('mousedown', event => this._take(event), { signal });
  }

  private _let(event: KeyboardEvent): void {
    if (event.target instanceof Node && this._board.element.contains(event.target)) {
      this._board.element.toggleAttribute('data-lm-suppress-shortcuts', !SAVE(event));
    }
  }

  private _take({ target }: MouseEvent): void {
    if (target instanceof Node && this._board.cy.container()?.contains(target)) {
      this._board.element.focus({ preventScroll: true });
    }
  }

  private _press(event: KeyboardEvent): void {
    if (SAVE(event)) {
      return;
    }
    event.stopPropagation();
    if (typing(event.target)) {
      return;
    }
    const act = actOf(event);
    const other: Record<string, () => void> = {
      '/': () => this._actions.open.search(),
      Escape: () => this._escape()
    };
    if (act) {
      event.preventDefault();
      this._actions.act(act);
    } else if (!event.ctrlKey && !event.metaKey && !event.altKey && other[event.key]) {
      event.preventDefault();
      other[event.key]?.();
    }
  }
}

function actOf(event: KeyboardEvent): Act | undefined {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.altKey) {
    return undefined;
  }
  if (event.ctrlKey || event.metaKey) {
    return ({ z: event.shiftKey ? 'redo' : 'undo', y: 'redo', a: 'selectAll' } as Record<string, Act>)[key];
  }
  return ({ Delete: 'remove', Backspace: 'remove', f: 'fit' } as Record<string, Act>)[key];
}

function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest('input, textarea, select, [contenteditable=true]') !== null;
}
