import type { IBoard } from '../protocol';
import { atEnd, button, make } from './dom';
import { icon } from './icons';

/** One line for what was refused or went wrong, there until it is dismissed or the next thing is done; a broken file, until it is mended. */
export class Message {
  readonly node = make('div', 'message');
  private readonly _text = make('span', 'messageText');
  private _problem = '';

  constructor(board: IBoard, signal: AbortSignal) {
    const close = button('plain', '', 'Dismiss', () => this.say(''));
    close.setAttribute('aria-label', 'Dismiss');
    close.append(icon('close'));
    this._text.setAttribute('role', 'status');
    this._text.setAttribute('aria-live', 'polite');
    this.node.append(this._text, close);
    atEnd(signal, board.on('said', text => this.say(text)));
    this.say('');
    atEnd(signal, board.on('told', () => this._hear(board.told.problem)));
    this._hear(board.told.problem);
  }

  private _hear(problem: string): void {
    if (problem !== this._problem) {
      this._problem = problem;
      this.say(problem); // also when there is none any more: what was said meanwhile was about it
    }
  }

  say(text: string): void {
    this._text.textContent = text;
    this.node.classList.toggle('hnb-Chrome-hidden', !text);
  }

  get said(): boolean {
    return this._text.textContent !== '';
  }
}
