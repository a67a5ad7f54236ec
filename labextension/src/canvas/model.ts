import { CytoscapeModel } from 'jupyter-cytoscape';

import type { IAnswer, IMessage } from './protocol';
import { MODULE, VERSION } from './version';

interface IPending {
  readonly resolve: (answer: IAnswer) => void;
  readonly reject: (error: Error) => void;
}

/** The browser's side of Python's `Canvas`: the whole workflow in three traits, and questions to the kernel. */
export class CanvasModel extends CytoscapeModel {
  private _answers: Map<number, IPending> | undefined;
  private _asked = 0;

  override defaults(): Record<string, unknown> {
    return {
      ...super.defaults(),
      _model_name: 'CanvasModel',
      _model_module: MODULE,
      _model_module_version: VERSION,
      _view_name: 'CanvasView',
      _view_module: MODULE,
      _view_module_version: VERSION,
      graph_json: '',
      states: null,
      told: {}
    };
  }

  override initialize(attributes: Record<string, unknown>, options: Record<string, unknown>): void {
    super.initialize(attributes, options);
    this._answers = new Map();
    this.on('msg:custom', (said: IAnswer) => this._hear(said));
    this.on('comm_live_update', () => this.comm_live || this._giveUp());
  }

  /** One byte a node. */
  get codes(): Uint8Array {
    const told: unknown = this.get('states');
    return told instanceof DataView ? new Uint8Array(told.buffer, told.byteOffset, told.byteLength) : new Uint8Array();
  }

  /** Ask the kernel; rejects with its words when it refuses, or when it goes. */
  ask(message: IMessage): Promise<IAnswer> {
    const ask = ++this._asked;
    return new Promise((resolve, reject) => {
      if (!this.comm_live) {
        reject(new Error('the kernel does not answer any more: run the cell again'));
        return;
      }
      this._answers?.set(ask, { resolve, reject });
      this.send({ ...message, ask } as never, {});
    });
  }

  private _hear(said: IAnswer): void {
    const pending = this._answers?.get(Number(said['ask']));
    if (!pending) {
      return;
    }
    this._answers?.delete(Number(said['ask']));
    if (typeof said['error'] === 'string') {
      pending.reject(new Error(said['error']));
    } else {
      pending.resolve(said);
    }
  }

  private _giveUp(): void {
    this._answers?.forEach(({ reject }) => reject(new Error('the kernel went away before it answered')));
    this._answers?.clear();
  }
}
