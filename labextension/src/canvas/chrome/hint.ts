import type { IBoard } from '../protocol';
import { atEnd, make } from './dom';

/** What to do with a canvas that has no jobs yet. */
export class Hint {
  readonly node = make('div', 'hint', 'No jobs yet. Add one here, or run a cell that begins with %%job.');

  constructor(board: IBoard, signal: AbortSignal) {
    const update = () => (this.node.hidden = board.graph.nodes.length > 0);
    atEnd(signal, board.on('graph', update));
    update();
  }
}
