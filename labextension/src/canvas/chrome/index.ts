import type { EventObject } from 'cytoscape';

import { Shape, type IBoard, type State } from '../protocol';
import { Actions } from './actions';
import { Add } from './add';
import { Context } from './context';
import { atEnd, make } from './dom';
import { Drawer } from './drawer';
import { Form } from './form';
import { Keys } from './keys';
import { Legend } from './legend';
import { Message } from './message';
import { reveal } from './reveal';
import { Search } from './search';
import { Toolbar } from './toolbar';
import { Tooltip } from './tooltip';

const BEGUN: ReadonlySet<State> = new Set<State>(['running', 'cancelling', 'done', 'failed', 'cancelled', 'lost']);

/** What is around the canvas: buttons, search, counts, menus, forms, logs and messages. */
export class Chrome {
  private readonly _end = new AbortController();
  private readonly _head = make('header', 'head');
  private readonly _layer = make('div', 'layer');

  constructor(private readonly _board: IBoard) {
    const { signal } = this._end;
    const form = new Form(_board, signal);
    const drawer = new Drawer(_board, signal);
    const add = new Add(_board);
    const search = new Search(_board, signal);
    const message = new Message(_board, signal);
    const beside = (name: string) => reveal(_board, name, form.isOpen ? form.node.offsetWidth : 0, drawer.isOpen ? drawer.node.offsetHeight : 0);
    const actions = new Actions(_board, {
      form: name => void form.open(name).then(() => settled(() => beside(name))),
      log: name => {
        drawer.open(name);
        settled(() => beside(name));
      },
      add: place => add.open(place),
      search: () => search.focus()
    }, signal);
    const toolbar = new Toolbar(_board, actions, signal);
    toolbar.node.append(search.node);
    this._head.append(toolbar.node, new Legend(_board, actions, signal).node, message.node);
    this._layer.append(add.node, form.node, drawer.node);
    // The browser's own menu, to paste for instance, not that of the notebook's cells.
    [this._head, this._layer].forEach(part => part.addEventListener('contextmenu', event => event.stopPropagation()));
    _board.element.classList.add('hnb-Chrome');
    _board.element.prepend(this._head);
    _board.element.append(this._layer);
    new Context(_board, actions, signal);
    new Tooltip(_board, signal);
    new Keys(_board, actions, () => this._escape(add, form, drawer, message), signal);
    atEnd(signal, _board.on('open', ({ job }) => job !== null && actions.open.form(job)));
    this._click(actions, signal);
    atEnd(signal, () => add.dispose());
    this._stand(signal);
  }

  dispose(): void {
    this._end.abort();
    this._head.remove();
    this._layer.remove();
    this._board.element.classList.remove('hnb-Chrome');
  }

  /** A click on a job that was begun opens its log. */
  private _click(actions: Actions, signal: AbortSignal): void {
    const click = ({ target, originalEvent }: EventObject) => {
      const { shiftKey, ctrlKey, metaKey } = originalEvent as MouseEvent;
      const name = String(target.id());
      if (BEGUN.has(this._board.state(name)) && this._board.graph.node(name)?.shape === Shape.Job && !(shiftKey || ctrlKey || metaKey)) {
        actions.open.log(name);
      }
    };
    this._board.cy.on('onetap', 'node', click);
    atEnd(signal, () => void this._board.cy.off('onetap', 'node', click));
  }

  /** Let the layer begin below the head, however many lines that has. */
  private _stand(signal: AbortSignal): void {
    const seen = new ResizeObserver(() => (this._layer.style.top = `${this._head.offsetHeight}px`));
    seen.observe(this._head);
    atEnd(signal, () => seen.disconnect());
  }

  /** Close what is open, one at a time; with nothing open select nothing. */
  private _escape(add: Add, form: Form, drawer: Drawer, message: Message): void {
    const open = [add, form, drawer].find(part => part.isOpen);
    if (open) {
      open.close();
    } else if (message.said) {
      message.say('');
    } else {
      this._board.drawMode(false);
      this._board.select([]);
    }
  }
}

/** Do it once what was opened has its size, and the canvas its own. */
function settled(act: () => void): void {
  window.requestAnimationFrame(() => window.requestAnimationFrame(act));
}
