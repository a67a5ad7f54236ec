import type { EventObject } from 'cytoscape';

import { Shape, type IBoard, type State } from '../protocol';
import { Actions, type IOpener } from './actions';
import { Add } from './add';
import { Context } from './context';
import { atEnd, make } from './dom';
import { Drawer } from './drawer';
import { Form } from './form';
import { Hint } from './hint';
import { Keys } from './keys';
import { Legend } from './legend';
import { Message } from './message';
import { reveal } from './reveal';
import { Search } from './search';
import { Toolbar } from './toolbar';
import { Tooltip } from './tooltip';

/** A click on a job opens its log in these states. */
const BEGUN: ReadonlySet<State> = new Set<State>(['running', 'cancelling', 'done', 'failed', 'cancelled', 'lost']);

/** What is around the canvas: buttons, search, counts, menus, forms, logs and messages. */
export class Chrome {
  private readonly _end = new AbortController();
  private readonly _head = make('header', 'head');
  private readonly _layer = make('div', 'layer');
  private readonly _form: Form;
  private readonly _drawer: Drawer;
  private readonly _add: Add;
  private readonly _message: Message;

  constructor(private readonly _board: IBoard) {
    const { signal } = this._end;
    this._form = new Form(_board, signal);
    this._drawer = new Drawer(_board, signal);
    this._add = new Add(_board, signal);
    this._message = new Message(_board, signal);
    const search = new Search(_board, signal);
    const actions = new Actions(_board, this._opener(search), signal);
    const toolbar = new Toolbar(_board, actions, signal);
    toolbar.node.append(search.node);
    this._head.append(toolbar.node, new Legend(_board, actions, signal).node, this._message.node);
    this._layer.append(new Hint(_board, signal).node, this._add.node, this._form.node, this._drawer.node);
    new Context(_board, actions, signal);
    new Tooltip(_board, signal);
    new Keys(_board, actions, () => this._escape(), signal);
    atEnd(signal, _board.on('open', ({ job }) => job !== null && actions.open.form(job)));
    this._listen(actions, signal);
    this._stand(signal);
  }

  dispose(): void {
    this._end.abort();
    this._head.remove();
    this._layer.remove();
    this._board.element.classList.remove('hnb-Chrome');
  }

  private _opener(search: Search): IOpener {
    return {
      form: name => void this._form.open(name).then(() => this._reveal(name)),
      log: name => {
        this._drawer.open(name);
        this._reveal(name);
      },
      add: place => this._add.open(place),
      search: () => search.focus()
    };
  }

  /** Move the view until a job is seen beside what lies over the canvas. */
  private _reveal(name: string): void {
    settled(() => {
      if (!this._end.signal.aborted && !this._board.auto) {
        reveal(this._board, name, this._form.node.offsetWidth, this._drawer.node.offsetHeight);
      }
    });
  }

  private _listen(actions: Actions, signal: AbortSignal): void {
    const click = ({ target, originalEvent }: EventObject) => {
      const { shiftKey, ctrlKey, metaKey } = originalEvent as MouseEvent;
      const name = String(target.id());
      const begun = BEGUN.has(this._board.state(name)) && this._board.graph.node(name)?.shape === Shape.Job;
      if (begun && !(shiftKey || ctrlKey || metaKey)) {
        actions.open.log(name);
      }
    };
    this._board.cy.on('onetap', 'node', click);
    atEnd(signal, () => void this._board.cy.off('onetap', 'node', click));
    // The browser's own menu, to paste for instance, not that of the notebook's cells.
    [this._head, this._layer].forEach(part => part.addEventListener('contextmenu', event => event.stopPropagation()));
  }

  /** Take the place around the canvas; the layer begins below the head, however many lines that has. */
  private _stand(signal: AbortSignal): void {
    this._board.element.classList.add('hnb-Chrome');
    this._board.element.prepend(this._head);
    this._board.element.append(this._layer);
    const seen = new ResizeObserver(() => (this._layer.style.top = `${this._head.offsetHeight}px`));
    seen.observe(this._head);
    const over = new ResizeObserver(() => this._board.cover(this._form.node.offsetWidth, this._drawer.node.offsetHeight));
    [this._form.node, this._drawer.node].forEach(node => over.observe(node));
    atEnd(signal, () => [seen, over].forEach(observer => observer.disconnect()));
  }

  /** Close what is open, one at a time; with nothing open select nothing. */
  private _escape(): void {
    const open = [this._add, this._form, this._drawer].find(part => part.isOpen);
    if (open) {
      open.close();
    } else if (this._message.said) {
      this._message.say('');
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
