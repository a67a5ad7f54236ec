import type { IBoard } from '../protocol';

const MARGIN = 20; // pixels

/** Move the view until a job is seen beside what covers the canvas at its right and at its bottom, in pixels. */
export function reveal(board: IBoard, name: string, right: number, bottom: number): void {
  const { cy } = board;
  const node = cy.getElementById(name);
  if (node.empty()) {
    return;
  }
  const { x1, x2, y1, y2 } = node.renderedBoundingBox({});
  cy.panBy({ x: shift(x1, x2, cy.width() - right), y: shift(y1, y2, cy.height() - bottom) });
}

/** How far to move what lies from `low` to `high` to have it within the room, its beginning above all. */
function shift(low: number, high: number, room: number): number {
  const back = Math.min(0, room - MARGIN - high);
  return low + back < MARGIN ? MARGIN - low : back;
}
