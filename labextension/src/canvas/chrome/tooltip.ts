import type { IBoard } from '../protocol';
import { atEnd, make } from './dom';

const REST = 300; // milliseconds that the pointer rests before it opens
const AGAIN = 1000; // milliseconds between two questions while it is open
const BESIDE = 14; // pixels between it and the pointer

/** What is known of the job under the pointer, kept up to date while it is shown. */
export class Tooltip {
  private readonly _node = make('div', 'tooltip');
  private readonly _list = make('dl', 'facts');
  private _job: string | null = null;
  private _pointer: readonly [x: number, y: number] = [0, 0];
  private _timer = 0;

  constructor(private readonly _board: IBoard, signal: AbortSignal) {
    this._node.setAttribute('role', 'tooltip');
    this._node.append(this._list);
    atEnd(signal, _board.on('hover', place => this._hover(place?.job ?? null)));
    atEnd(signal, _board.on('context', () => this.close()));
    for (const event of ['pointerdown', 'wheel', 'keydown']) {
      _board.element.addEventListener(event, () => this.close(), { signal, capture: true, passive: true });
    }
    const move = ({ clientX, clientY }: PointerEvent) => (this._pointer = [clientX, clientY]);
    _board.element.addEventListener('pointermove', move, { signal, capture: true, passive: true });
    _board.element.addEventListener('pointerleave', () => this.close(), { signal });
    atEnd(signal, () => this.close());
  }

  close(): void {
    window.clearTimeout(this._timer);
    this._job = null;
    this._node.remove();
  }

  private _hover(job: string | null): void {
    if (job === null) {
      this.close();
    } else if (job !== this._job) {
      this.close();
      this._job = job;
      this._timer = window.setTimeout(() => void this._ask(job), REST);
    }
  }

  private async _ask(name: string): Promise<void> {
    try {
      const { lines } = await this._board.ask({ do: 'tip', name });
      if (this._job === name) {
        this._show(name, Array.isArray(lines) ? lines : []);
        this._timer = window.setTimeout(() => void this._ask(name), AGAIN);
      }
    } catch {
      if (this._job === name) {
        this.close(); // the job is gone, or the kernel: there is nothing to tell
      }
    }
  }

  private _show(name: string, lines: readonly unknown[]): void {
    const title = make('div', 'tipTitle', name);
    this._list.replaceChildren();
    for (const line of lines) {
      const [word, text] = Array.isArray(line) ? line.map(String) : [];
      this._list.append(make('dt', '', word ?? ''), make('dd', '', text ?? ''));
    }
    this._node.replaceChildren(title, this._list);
    if (!this._node.isConnected) {
      document.body.append(this._node);
      this._put();
    }
  }

  /** Put it beside the pointer, where there is room, and never under it. */
  private _put(): void {
    const [x, y] = this._pointer;
    const { width, height } = this._node.getBoundingClientRect();
    const below = y + BESIDE + height < window.innerHeight || y < height + BESIDE;
    const at = [Math.min(x + BESIDE, window.innerWidth - width - 4), below ? y + BESIDE : y - BESIDE - height] as const;
    this._node.style.left = `${Math.max(4, at[0])}px`;
    this._node.style.top = `${at[1]}px`;
  }
}
