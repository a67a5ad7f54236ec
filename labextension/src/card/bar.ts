import { Widget } from '@lumino/widgets';

import { span } from './time';
import type { Action, IPayload } from './payload';

const WORDS: readonly (readonly [Action, string])[] = [
  ['run', 'Run'],
  ['cancel', 'Cancel'],
  ['retry', 'Try again'],
  ['log', 'Log']
];

/** The row above a card: what a person can do now, how it stands, and what went wrong. */
export class Bar extends Widget {
  private readonly _buttons = new Map<Action, HTMLButtonElement>();
  private readonly _state = document.createElement('span');
  private readonly _elapsed = document.createElement('span');
  private readonly _error = document.createElement('div');
  private _payload: IPayload | null = null;
  private _timer = 0;

  constructor(act: (action: Action) => void) {
    super();
    this.addClass('hnb-Card-bar');
    this.node.setAttribute('role', 'group');
    this.node.tabIndex = -1; // takes the focus of a button that goes
    for (const [action, label] of WORDS) {
      this._buttons.set(action, this._button(label, () => act(action)));
    }
    this._state.className = 'hnb-Card-state';
    this._state.setAttribute('role', 'status');
    this._state.setAttribute('aria-live', 'polite');
    this._elapsed.className = 'hnb-Card-elapsed';
    this._elapsed.setAttribute('aria-hidden', 'true');
    this._error.className = 'hnb-Card-error';
    this._error.setAttribute('role', 'alert');
    this.node.append(this._state, this._elapsed, this._error);
    this.hide();
  }

  /** Offer these actions, and no others. */
  offer(actions: ReadonlySet<string>): void {
    const focused = document.activeElement;
    this._buttons.forEach((button, action) => (button.hidden = !actions.has(action)));
    this.show();
    if (focused instanceof HTMLButtonElement && focused.hidden && this.node.contains(focused)) {
      this.node.focus();
    }
  }

  /** Offer nothing: nobody listens. */
  withdraw(): void {
    this.hide();
    this.busy(false);
    this.tell(this._payload);
  }

  /** Say how it stands; the time of what goes on counts on while the row is there. */
  tell(payload: IPayload | null): void {
    this._payload = payload;
    this.node.setAttribute('aria-label', payload?.job ? `Job ${payload.job}` : `Workflow ${payload?.file ?? ''}`);
    const state = payload ? `${payload.job ?? payload.file}: ${payload.state}` : '';
    if (this._state.textContent !== state) {
      this._state.textContent = state;
    }
    window.clearInterval(this._timer);
    if (payload && !this.isHidden && payload.state === 'running' && payload.startedAt !== null) {
      this._timer = window.setInterval(() => this._tick(), 1000);
    }
    this._tick();
  }

  /** Take no other click while the kernel deals with one. */
  busy(busy: boolean): void {
    this._buttons.forEach((button, action) => {
      if (action !== 'log') {
        button.setAttribute('aria-disabled', String(busy));
      }
    });
  }

  /** Show what went wrong, or with '' nothing. */
  complain(error: string): void {
    this._error.textContent = error;
  }

  /** Say whether the log is open. */
  expand(open: boolean): void {
    this._buttons.get('log')?.setAttribute('aria-expanded', String(open));
  }

  override dispose(): void {
    window.clearInterval(this._timer);
    super.dispose();
  }

  private _tick(): void {
    const { state, startedAt } = this._payload ?? {};
    this._elapsed.textContent =
      state === 'running' && typeof startedAt === 'number' ? `running for ${span((Date.now() - startedAt) / 1000)}` : '';
  }

  private _button(label: string, click: () => void): HTMLButtonElement {
    const made = button(label, click);
    made.hidden = true;
    this.node.append(made);
    return made;
  }
}

/** Make a button that the keyboard reaches past the notebook's shortcuts, and that a mouse uses without taking the focus. */
export function button(label: string, click: () => void): HTMLButtonElement {
  const made = document.createElement('button');
  made.type = 'button';
  made.className = 'hnb-Card-button';
  made.textContent = label;
  made.dataset['lmSuppressShortcuts'] = 'true';
  made.addEventListener('mousedown', event => event.preventDefault());
  made.addEventListener('click', () => {
    if (made.getAttribute('aria-disabled') !== 'true') {
      click();
    }
  });
  return made;
}
