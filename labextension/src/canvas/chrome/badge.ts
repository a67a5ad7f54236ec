import type { State } from '../protocol';
import { LOOKS } from '../style';

const SIZE = 14; // pixels

/** Draw the sign of a state as the canvas has it: symbol and colour. */
export function badge(state: State): HTMLCanvasElement {
  const made = document.createElement('canvas');
  const scale = Math.max(2, window.devicePixelRatio);
  made.width = made.height = SIZE * scale;
  made.className = 'hnb-Chrome-badge';
  made.setAttribute('aria-hidden', 'true');
  const paper = made.getContext('2d');
  if (paper) {
    paper.scale(scale, scale);
    paper.translate(SIZE / 2, SIZE / 2);
    draw(paper, state);
  }
  return made;
}

function draw(paper: CanvasRenderingContext2D, state: State): void {
  const { strong, symbol, hollow } = LOOKS[state];
  paper.lineCap = paper.lineJoin = 'round';
  paper.beginPath();
  paper.arc(0, 0, 6, 0, 2 * Math.PI);
  paper.fillStyle = hollow ? '#fff' : strong;
  paper.fill();
  paper.strokeStyle = state === 'lost' ? '#8c959f' : strong; // nearly black, which a dark theme would hide
  paper.stroke();
  paper.strokeStyle = hollow ? strong : '#fff';
  paper.lineWidth = 1.6;
  if (symbol) {
    paper.stroke(symbol);
  }
}
