import { canvas } from './canvas';
import { scripts } from './canvas/chrome/plugin';
import { cards } from './card';

/** What hybridnb adds to JupyterLab and Notebook. */
export default [cards, canvas, scripts];
