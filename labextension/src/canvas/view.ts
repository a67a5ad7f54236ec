import { CytoscapeView } from 'jupyter-cytoscape';

import { Board } from './board';
import { Chrome } from './chrome';
import type { CanvasModel } from './model';

/** The canvas in a cell: a board with cytoscape, and around it the chrome. */
export class CanvasView extends CytoscapeView {
  private _board: Board | undefined;
  private _chrome: Chrome | undefined;

  override render(): void {
    this.el.classList.add('hnb-Canvas');
    void this.displayed.then(() => this.init_render());
  }

  override init_render(): void {
    if (this._board) {
      return;
    }
    this._board = new Board(this.model as unknown as CanvasModel, this.el);
    this._chrome = new Chrome(this._board);
    this.cytoscape_obj = this._board.cy;
    this.is_rendered = true;
  }

  /** Nothing of it is drawn anew for a trait: the board hears of those that matter. */
  override value_changed(): void {}

  override remove(): unknown {
    this._chrome?.dispose();
    this._board?.dispose();
    return super.remove();
  }
}
