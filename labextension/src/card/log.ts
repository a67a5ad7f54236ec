import { Widget } from '@lumino/widgets';

import { button } from './bar';
import type { ISaid } from './payload';

const TAIL = -65536; // a log is shown from there on: bytes before its end
const PAUSE = 1000; // milliseconds between two questions while nothing is written
const KEPT = 2_000_000; // characters that stay on the screen
const STREAMS = ['out', 'err'] as const;

type Stream = (typeof STREAMS)[number];
type Piece = NonNullable<ISaid['log']>;

/** The log of a job, which goes on while the job does. */
export class LogView extends Widget {
  private readonly _text = document.createElement('pre');
  private readonly _tabs = new Map<Stream, HTMLButtonElement>();
  private _stream: Stream = 'out';
  private _run: string | null = null;
  private _offset = TAIL;
  private _asked = false; // is an answer on its way?
  private _stale = false; // is that answer about another stream?
  private _ended = false;
  private _rest = ''; // the line that is not complete
  private _tail = document.createTextNode('');
  private _timer = 0;

  /** `ask` puts a question for a piece of a stream; the answer comes by `add`. */
  constructor(private readonly _ask: (stream: Stream, offset: number) => void) {
    super();
    this.addClass('hnb-Card-log');
    const row = document.createElement('div');
    row.setAttribute('role', 'group');
    row.setAttribute('aria-label', 'Which log');
    for (const stream of STREAMS) {
      const tab = button(stream, () => this.open(stream));
      this._tabs.set(stream, tab);
      row.append(tab);
    }
    this._text.tabIndex = 0;
    this._text.setAttribute('role', 'region');
    this._text.dataset['lmSuppressShortcuts'] = 'true';
    this.node.append(row, this._text);
    this.hide();
  }

  /** Show a stream from its last lines on, and go on with it. */
  open(stream: Stream): void {
    this._stream = stream;
    this._tabs.forEach((tab, name) => tab.setAttribute('aria-pressed', String(name === stream)));
    this._text.setAttribute('aria-label', stream === 'out' ? 'Log: standard output' : 'Log: standard error');
    this._stale = this._asked;
    this._clear();
    this.show();
    this._next(0);
  }

  fold(): void {
    window.clearTimeout(this._timer);
    this.hide();
  }

  /** Ask on after the job was started again, or after an error. */
  resume(): void {
    if (this._ended && !this.isHidden) {
      this.open(this._stream);
    }
  }

  /** Nobody answers any more; what was read stays. */
  stop(): void {
    window.clearTimeout(this._timer);
    this._asked = this._stale = false;
    this._ended = true;
  }

  add(piece: Piece): void {
    const stale = this._stale || (this._run !== null && piece.run !== this._run);
    this._asked = this._stale = false;
    if (stale) {
      this._clear();
      this._run = null;
      this._next(0);
      return;
    }
    this._run = piece.run;
    this._offset = piece.next;
    this._ended = piece.ended;
    this._write(piece.text);
    if (!piece.ended) {
      this._next(piece.text ? 0 : PAUSE);
    } else {
      this._text.dataset['empty'] = `Nothing was written to ${this._stream}.`;
    }
  }

  override dispose(): void {
    window.clearTimeout(this._timer);
    super.dispose();
  }

  private _next(pause: number): void {
    window.clearTimeout(this._timer);
    this._timer = window.setTimeout(() => {
      if (!this._asked && !this.isHidden) {
        this._asked = true;
        this._ask(this._stream, this._offset);
      }
    }, pause);
  }

  private _clear(): void {
    this._offset = TAIL;
    this._ended = false;
    this._rest = '';
    this._tail = document.createTextNode('');
    this._text.replaceChildren(this._tail);
    this._text.dataset['empty'] = '…';
  }

  private _write(text: string): void {
    const { scrollTop, scrollHeight, clientHeight } = this._text;
    const atEnd = scrollHeight - scrollTop - clientHeight < 8;
    const lines = (this._rest + text).split('\n');
    this._rest = lines.pop() ?? '';
    if (lines.length) {
      this._text.insertBefore(document.createTextNode(`${lines.map(plain).join('\n')}\n`), this._tail);
    }
    this._tail.data = plain(this._rest);
    while ((this._text.textContent ?? '').length > KEPT && this._text.firstChild !== this._tail) {
      this._text.firstChild?.remove();
    }
    if (atEnd) {
      this._text.scrollTop = this._text.scrollHeight;
    }
  }
}

/** Return a line as a terminal leaves it: without colours, and what was written last over what it overwrote. */
function plain(line: string): string {
  const bare = line.replace(/\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])/g, '');
  return bare.replace(/\r+$/, '').split('\r').pop() ?? '';
}
