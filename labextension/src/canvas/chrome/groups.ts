import type { IBoard } from '../protocol';

/** The expanded sweep that a job is of, whose name those of its jobs begin with; null when it is of none. */
export function groupOf(board: IBoard, job: string): string | null {
  const found = board.told.expanded.filter(group => job.startsWith(`${group}-`));
  return found.sort((a, b) => b.length - a.length)[0] ?? null;
}
