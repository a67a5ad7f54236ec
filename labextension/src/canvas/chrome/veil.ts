import type { IBoard } from '../protocol';
import { atEnd } from './dom';

const RING = 6; // pixels around a job in which its selection is seen

/** Lies over all but the jobs that are looked for, so that these stand out. */
export class Veil {
  private readonly _canvas = document.createElement('canvas');
  private _found: ReadonlySet<string> | null = null;

  constructor(private readonly _board: IBoard, signal: AbortSignal) {
    this._canvas.className = 'hnb-Chrome-veil';
    this._canvas.setAttribute('aria-hidden', 'true');
    const paint = () => this._paint();
    _board.cy.on('render', paint);
    atEnd(signal, () => {
      _board.cy.off('render', paint);
      this._canvas.remove();
    });
  }

  /** Cover all jobs but these; null uncovers all. */
  cover(found: ReadonlySet<string> | null): void {
    this._found = found;
    if (found) {
      this._board.cy.container()?.append(this._canvas);
      this._paint();
    } else {
      this._canvas.remove();
    }
  }

  private _paint(): void {
    const found = this._found;
    const context = found && this._canvas.getContext('2d');
    if (!found || !context) {
      return;
    }
    const { cy } = this._board;
    const [zoom, pan] = [cy.zoom(), cy.pan()];
    [this._canvas.width, this._canvas.height] = [cy.width(), cy.height()];
    context.fillStyle = getComputedStyle(document.body).getPropertyValue('--jp-layout-color0').trim() || '#fff';
    context.globalAlpha = 0.8;
    context.fillRect(0, 0, cy.width(), cy.height());
    context.translate(pan.x, pan.y);
    context.scale(zoom, zoom);
    const more = 2 * Math.max(RING, RING / zoom);
    for (const name of found) {
      const job = cy.getElementById(name);
      if (job.nonempty()) {
        const { x, y } = job.position();
        const [width, height] = [job.width() + more, job.height() + more];
        context.clearRect(x - width / 2, y - height / 2, width, height);
      }
    }
  }
}
